// Short notices, and questions that want an answer.

import { button, el } from "./dom.js";
import { t } from "./words.js";

const SHOWN_MS = 6000;
const KINDS = { good: "status", info: "status", warn: "alert", bad: "alert" };

/** kind: info, good, warn, bad. What is bad stays until it is closed. */
export function notice(text, kind = "info") {
  const node = el(
    "div",
    { class: "notice", role: KINDS[kind] ?? "status", dataset: { kind } },
    el("span", { text }),
    button("×", () => node.remove(), { class: "quiet", "aria-label": t("shell.close") }),
  );
  place().append(node);
  while (place().children.length > 5) place().firstElementChild.remove();
  if (kind !== "bad") setTimeout(() => node.remove(), SHOWN_MS);
  return node;
}

function place() {
  let node = document.getElementById("notices");
  if (!node) {
    node = el("div", { id: "notices", "aria-live": "polite" });
    document.body.append(node);
  }
  return node;
}

/** What went wrong with a request, in words. */
export function complain(error) {
  const text = error?.status === 0 ? t("shell.unreachable") : (error?.detail ?? String(error));
  notice(text, "bad");
}

/** true where it is confirmed. `yes`: the word on the button. */
export function ask(text, { yes = t("shell.yes"), danger = false } = {}) {
  return new Promise((resolve) => {
    const confirm = el("button", { class: `button ${danger ? "danger" : "primary"}`, value: "yes", text: yes });
    const form = el(
      "form",
      { method: "dialog", class: "stack" },
      el("p", { text, id: "question" }),
      el("div", { class: "toolbar end" }, el("button", { class: "button", value: "no", text: t("shell.no") }), confirm),
    );
    const dialog = el("dialog", { class: "dialog small", "aria-labelledby": "question" }, form);
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
    confirm.focus();
  });
}

/** A dialog with a title and a close button; returns it, opened. It is removed when closed. */
export function openDialog(title, ...children) {
  const id = `dialog-${++dialogs}`;
  const dialog = el(
    "dialog",
    { class: "dialog", "aria-labelledby": id },
    el(
      "header",
      { class: "dialog-head" },
      el("h2", { text: title, id }),
      button("×", () => dialog.close(), { class: "quiet", "aria-label": t("shell.close") }),
    ),
    ...children,
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

let dialogs = 0;
