// The event log: what was mended, tuned and ordered, the newest first, in a drawer at the side.

import { api, withQuery } from "./api.js";
import { button, clear, el, write } from "./dom.js";
import { fmt, has, t } from "./words.js";

const KINDS = ["operator", "healing", "tuning", "rule", "end"];
const PAGE = 50;

export function makeLog() {
  const list = el("ol", { class: "log-list" });
  const more = button(t("shell.log.more"), () => load(false), { class: "wide-button", hidden: true });
  const empty = el("p", { class: "empty", hidden: true });
  const kind = el(
    "select",
    { "aria-label": t("shell.log.kind"), id: "log-kind", on: { change: () => load(true) } },
    el("option", { value: "", text: t("shell.log.all") }),
    KINDS.map((name) => el("option", { value: name, text: t(`shell.log.kinds.${name}`) })),
  );
  const node = el(
    "aside",
    { class: "drawer", id: "log", hidden: true, "aria-label": t("shell.log.title") },
    el(
      "header",
      { class: "drawer-head" },
      el("h2", { text: t("shell.log.title") }),
      kind,
      button("×", close, { class: "quiet", "aria-label": t("shell.close") }),
    ),
    el("div", { class: "drawer-body", tabIndex: 0 }, list, empty, more),
  );
  node.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
  });
  let next = null;
  let last = 0; // the number of the newest event that the server has
  let shown = 0; // and of the newest that was looked at
  let loading = null;

  async function load(anew) {
    const asked = (loading = Symbol("load"));
    let page;
    try {
      page = await api.get(withQuery("/events", { kind: kind.value, before: anew ? null : next, limit: PAGE }));
    } catch (error) {
      if (asked !== loading) return;
      clear(list);
      empty.hidden = false;
      more.hidden = true;
      write(empty, error.status === 404 ? t("shell.log.none_kept") : error.status === 0 ? t("shell.unreachable") : error.detail);
      return;
    }
    if (asked !== loading) return;
    if (anew) clear(list);
    list.append(...page.events.map(row));
    next = page.next;
    more.hidden = next === null || next === undefined;
    empty.hidden = list.children.length > 0;
    write(empty, t("shell.log.empty"));
    if (page.events.length && anew) shown = Math.max(shown, page.events[0].number);
    tell();
  }

  function tell() {
    const dot = document.querySelector("#open-log .dot");
    if (dot) dot.hidden = !(last > shown && node.hidden);
  }

  function close() {
    if (node.hidden) return;
    node.hidden = true;
    document.getElementById("open-log")?.focus();
  }

  return {
    node,
    close,
    toggle() {
      if (!node.hidden) {
        close();
        return;
      }
      node.hidden = false;
      kind.focus();
      shown = last;
      tell();
      load(true);
    },
    /** `number` of the newest event, as each message says. */
    noteLast(number) {
      if (number === undefined || number === null) return;
      if (!last) shown = number; // what was before the page was opened is no news
      const grown = number > last;
      last = number;
      if (grown && !node.hidden) load(true);
      tell();
    },
  };
}

function row(event) {
  const word = (group, name) => (has(`shell.log.${group}.${name}`) ? t(`shell.log.${group}.${name}`) : name);
  return el(
    "li",
    { class: "log-row", dataset: { kind: event.kind, outcome: event.outcome ?? "" } },
    el(
      "div",
      { class: "log-line" },
      el("time", { class: "num muted", datetime: event.time, text: fmt.time(event.time) }),
      el("span", { class: "badge", dataset: { kind: "plain" }, text: word("kinds", event.kind) }),
      event.subject && el("span", { class: "mono", text: event.subject }),
      event.outcome && el("span", { class: "outcome", dataset: { outcome: event.outcome }, text: word("outcomes", event.outcome) }),
    ),
    el("p", { text: event.text ?? event.action ?? "" }),
    event.why && !event.text?.includes(event.why) && el("p", { class: "muted", text: event.why }),
  );
}
