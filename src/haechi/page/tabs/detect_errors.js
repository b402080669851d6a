// What went wrong with a request, as a sentence to stand where it happened.

export function sentence(error, t) {
  return error?.status === 0 ? t("shell.unreachable") : (error?.detail ?? String(error));
}

/** A place for it: said aloud when it comes, gone when the text is empty. */
export function saying(el) {
  const node = el("p", { class: "wrong", role: "alert", hidden: true });
  return {
    node,
    say(text) {
      node.textContent = text ?? "";
      node.hidden = !text;
    },
  };
}
