// Single keys. They act where nothing is typed into and no dialog is open, and can be turned off for all.

import { button, el } from "./dom.js";
import { openDialog } from "./notice.js";
import { keep, read, t } from "./words.js";

const KEPT = "haechi.keys";
const bound = new Map(); // key -> {press, word}

/** `word`: the key of what it does in words. Returns what takes it away again. */
export function bindKey(key, press, word) {
  const one = { press, word };
  bound.set(key, one);
  return () => {
    if (bound.get(key) === one) bound.delete(key);
  };
}

export function keysOn() {
  return read(KEPT) !== "off";
}

const TYPED = "input, select, textarea, [contenteditable]";

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const one = bound.get(event.key.length === 1 ? event.key.toLowerCase() : event.key);
  if (!one || (!keysOn() && event.key !== "?")) return;
  if (event.target.closest?.(TYPED) || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  one.press();
});

/** A dialog that lists them. */
export function showKeys() {
  const on = el("input", { type: "checkbox", id: "keys-on", checked: keysOn() });
  on.addEventListener("change", () => keep(KEPT, on.checked ? "on" : "off"));
  openDialog(
    t("shell.keys.title"),
    el(
      "dl",
      { class: "keys" },
      [...bound].map(([key, { word }]) => [el("dt", {}, el("kbd", { text: key.toUpperCase() })), el("dd", { text: t(word) })]),
      [
        ["← →", "shell.keys.arrows"],
        ["Esc", "shell.keys.escape"],
      ].map(([key, word]) => [el("dt", {}, el("kbd", { text: key })), el("dd", { text: t(word) })]),
    ),
    el("label", { class: "check" }, on, t("shell.keys.on")),
    el("div", { class: "toolbar end" }, button(t("shell.close"), () => document.querySelector("dialog[open]").close())),
  );
}
