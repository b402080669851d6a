// Incidents: alerts of one cause as one row, newest first; one of them whole at the side.

import { button } from "../lib/dom.js";
import { saying, sentence } from "./detect_errors.js";
import { head, moment } from "./detect_text.js";
import { severityWord } from "./detect_words.js";

const PAGE = 100;
const PAUSE_MS = 1000; // the least between two requests for what changes all the time

/** Whom or what an incident is about. */
export function subject(one, t) {
  const { sort, of } = one.cause;
  if (sort === "source") return t("detect.incident_source", { name: head(of[0], 60) });
  if (sort === "series") return t("detect.incident_series");
  if (one.hosts.number > 1) return t("detect.incident_hosts", { name: head(one.hosts.names[0], 60), n: one.hosts.number - 1 });
  if (one.hosts.number === 1) return t("detect.incident_host", { name: head(one.hosts.names[0], 60) });
  if (one.sessions.number > 1) return t("detect.incident_several");
  return t("detect.incident_session", { name: head(one.sessions.names[0] ?? "\u2013", 60) });
}

/** Its size in words: 231 alerts, 198 sessions, 3 hosts. */
export function size(one, t, fmt) {
  const parts = [t("detect.shown", { n: fmt.count(one.count) })];
  if (one.sessions.number > 1) parts.push(t("detect.incident_of_sessions", { n: fmt.count(one.sessions.number) }));
  if (one.hosts.number > 1) parts.push(t("detect.incident_of_hosts", { n: fmt.count(one.hosts.number) }));
  return parts.join(", ");
}

export class Incidents {
  /** actions: open(incident). */
  constructor(ctx, actions) {
    this.ctx = ctx;
    this.actions = actions;
    this.items = [];
    this.rows = new Map(); // id -> {node, stamp}
    this.next = null;
    this.said = "";
    this.due = null;
    this.busy = false;
    this.chosen = null;
    this.running = false;
    this.#build();
  }

  start() {
    this.running = true;
    return this.load();
  }

  stop() {
    this.running = false;
    clearTimeout(this.due);
    this.due = null;
  }

  /** After a message of the feed: fetches soon, where something has changed. */
  poke(message) {
    const { incidents = {}, alerts = {} } = message;
    const said = `${incidents.last} ${incidents.open} ${(alerts.kept ?? 0) + (alerts.older ?? 0)}`;
    if (said === this.said || !this.running) return;
    this.said = said;
    this.due ??= setTimeout(() => {
      this.due = null;
      if (this.running) this.load();
    }, PAUSE_MS);
  }

  /** The newest ones; those behind them that are shown are fetched with them. */
  async load() {
    if (this.busy) return;
    this.busy = true;
    try {
      const wanted = Math.max(PAGE, Math.min(500, this.items.length));
      const page = await this.#page(wanted, null);
      this.items = page.incidents;
      this.next = page.next;
      this.wrong.say("");
    } catch (error) {
      this.wrong.say(sentence(error, this.ctx.t));
    } finally {
      this.busy = false;
    }
    this.draw();
  }

  mark(id) {
    this.chosen = id;
    for (const [other, { node }] of this.rows) node.setAttribute("aria-current", String(other === id));
  }

  #build() {
    const { el, t } = this.ctx;
    const option = (value, text) => el("option", { value, text });
    this.severity = el(
      "select",
      { "aria-label": t("detect.filter_severity"), on: { change: () => this.#choose() } },
      option("", t("detect.any_severity")),
      ...["critical", "high", "medium"].map((one) =>
        option(one, t("detect.at_least", { severity: severityWord(one, t) })),
      ),
    );
    this.state = el(
      "select",
      { "aria-label": t("detect.filter_state"), on: { change: () => this.#choose() } },
      option("", t("detect.incident_any_state")),
      option("open", t("detect.incident_open")),
      option("closed", t("detect.incident_closed")),
    );
    this.every = el("input", { type: "checkbox", on: { change: () => this.#choose() } });
    this.wrong = saying(el);
    this.list = el("ul", { class: "incidents", "aria-label": t("detect.incidents") });
    this.empty = el("div", { class: "empty", text: t("detect.no_incidents"), hidden: true });
    this.more = button(t("detect.incidents_older"), () => this.#older(), { hidden: true });
    this.node = el(
      "div",
      { class: "incidents-panel" },
      el(
        "div",
        { class: "toolbar incidents-filter" },
        this.severity,
        this.state,
        el("label", { class: "check" }, this.every, el("span", { text: t("detect.incidents_every") })),
      ),
      this.wrong.node,
      this.list,
      this.empty,
      this.more,
    );
  }

  #choose() {
    this.items = [];
    return this.load();
  }

  async #older() {
    try {
      const page = await this.#page(PAGE, this.next);
      this.items = this.items.concat(page.incidents);
      this.next = page.next;
    } catch (error) {
      this.wrong.say(sentence(error, this.ctx.t));
    }
    this.draw();
  }

  #page(limit, before) {
    const wanted = new URLSearchParams({ limit });
    if (before !== null) wanted.set("before", before);
    if (this.severity.value) wanted.set("severity", this.severity.value);
    if (this.state.value) wanted.set("state", this.state.value);
    if (!this.every.checked) wanted.set("raised", "true");
    return this.ctx.api.get(`/incidents?${wanted}`);
  }

  /** A row that says the same is left as it is, with the focus in it. */
  draw() {
    const kept = new Map();
    for (const one of this.items) {
      const stamp = `${one.count} ${one.severity} ${one.state} ${one.acknowledged} ${one.raised} ${one.hosts.number}`;
      const was = this.rows.get(one.id);
      if (was?.stamp === stamp) kept.set(one.id, was);
      else {
        const focused = was?.node.contains(document.activeElement);
        const node = this.#row(one);
        if (was) was.node.replaceWith(node);
        if (focused) node.querySelector("button").focus({ preventScroll: true });
        kept.set(one.id, { node, stamp });
      }
    }
    for (const [id, { node }] of this.rows) if (!kept.has(id)) node.remove();
    this.rows = kept;
    let at = this.list.firstElementChild;
    for (const { node } of kept.values()) {
      if (node === at) at = at.nextElementSibling;
      else this.list.insertBefore(node, at);
    }
    this.mark(this.chosen);
    this.actions.drawn?.(this.items);
    this.empty.hidden = this.items.length > 0 || this.busy;
    this.more.hidden = this.next === null;
  }

  #row(one) {
    const { el, t, fmt } = this.ctx;
    return el(
      "li",
      { class: one.acknowledged ? "incident is-done" : "incident", dataset: { incident: one.id } },
      el(
        "button",
        { type: "button", class: "incident-open", on: { click: () => this.actions.open(one) } },
        el("span", { class: "badge", dataset: { kind: one.severity }, text: severityWord(one.severity, t) }),
        el("span", { class: "incident-when num", text: moment(one.first) }),
        el("b", { class: "incident-subject", text: subject(one, t) }),
        el("span", { class: "incident-size num", text: size(one, t, fmt) }),
        el("span", { class: "incident-line mono", text: head(one.line ?? one.kinds.names[0] ?? "", 300) }),
        el("span", { class: "incident-state muted", text: stateWord(one, t) }),
      ),
    );
  }
}

/** Whether it goes on, and whether somebody has seen to it. */
export function stateWord(one, t) {
  const parts = [t(one.state === "open" ? "detect.incident_open" : "detect.incident_closed")];
  if (one.acknowledged) parts.push(t("detect.acknowledged"));
  if (one.held_back) parts.push(t("detect.incident_held"));
  return parts.join(" \u00b7 ");
}
