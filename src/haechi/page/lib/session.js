// The token, entered once for a cookie. However many requests were refused, there is one form.

import { el } from "./dom.js";
import { t, wordsLoaded } from "./words.js";

let waiting = null;

/** Resolves when a token was taken. */
export function openSession() {
  waiting ??= wordsLoaded.then(show).finally(() => {
    waiting = null;
  });
  return waiting;
}

/** While the form is open: resolves when a token was taken. Else null. */
export function sessionForm() {
  return waiting;
}

function show() {
  const token = el("input", {
    type: "password",
    name: "token",
    autocomplete: "current-password",
    required: true,
    id: "session-token",
    spellcheck: "false",
  });
  const wrong = el("p", { class: "wrong", role: "alert", hidden: true });
  const enter = el("button", { class: "button primary", type: "submit", text: t("shell.session.enter") });
  const form = el(
    "form",
    { method: "dialog", class: "stack" },
    el("h2", { text: t("shell.session.title"), id: "session-title" }),
    el("p", { class: "muted", text: t("shell.session.where") }),
    el("div", { class: "field" }, el("label", { text: t("shell.session.token"), htmlFor: "session-token" }), token),
    wrong,
    el("div", { class: "toolbar end" }, enter),
  );
  const dialog = el("dialog", { class: "dialog", id: "session", "aria-labelledby": "session-title" }, form);
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      enter.disabled = true;
      const refused = await begin(token.value.trim());
      enter.disabled = false;
      if (refused === null) {
        dialog.close();
        dialog.remove();
        resolve();
        return;
      }
      wrong.textContent = refused;
      wrong.hidden = false;
      token.select();
    });
  });
}

/** null, or why not. */
async function begin(token) {
  try {
    const answer = await fetch("/session", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ token }),
    });
    if (answer.ok) return null;
    if (answer.status === 401 || answer.status === 422) return t("shell.session.wrong");
    return (await answer.json()).detail;
  } catch {
    return t("shell.unreachable");
  }
}
