// The keyboard of the Detect tab.

import { openDialog } from "../lib/notice.js";

const SHOWN = [
  ["j \u2193", "key_next"],
  ["k \u2191", "key_before"],
  ["PgDn PgUp", "key_page"],
  ["Home End", "key_ends"],
  ["Enter", "key_open"],
  ["Esc", "key_close"],
  ["a", "key_acknowledge"],
  ["m", "key_mute"],
  ["u", "key_unmute"],
  ["p", "key_pause"],
  ["/", "key_search"],
  ["?", "key_help"],
];

/** What is typed into, or is moved within with the same keys. */
function typing(target) {
  return target instanceof Element && target.closest("input, textarea, select, dialog, [contenteditable]") !== null;
}

/** acts: name of a key -> what it does. Returns how to stop listening. */
export function listenKeys(acts) {
  const press = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (typing(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    // Arrows in the strip of tabs and Enter on a button mean what they mean everywhere.
    const within = event.target.closest?.('[role="tablist"], button, a') !== null;
    if (within && /^(Arrow|Enter|Home|End)/.test(event.key)) return;
    const act = acts[event.key];
    if (act === undefined) return;
    event.preventDefault();
    act();
  };
  document.addEventListener("keydown", press);
  return () => document.removeEventListener("keydown", press);
}

export function showKeys({ el, t }) {
  openDialog(
    t("detect.keys"),
    el(
      "dl",
      { class: "keys" },
      ...SHOWN.flatMap(([keys, what]) => [
        el("dt", {}, ...keys.split(" ").map((key) => el("kbd", { text: key }))),
        el("dd", { text: t(`detect.${what}`) }),
      ]),
    ),
  );
}
