// One incident, whole: what it is about, who agrees, whom it concerns, and its alerts, each of which can be opened.

import { button, clear } from "../lib/dom.js";
import { complain } from "../lib/notice.js";
import { size, stateWord, subject } from "./detect_incidents.js";
import { head, lineOf, moment, visible } from "./detect_text.js";
import { severityWord } from "./detect_words.js";

const SHOWN = 20; // alerts, until more are asked for

export class IncidentDetail {
  /** actions: close(), alert(item), only(session), changed(incident). */
  constructor(ctx, actions) {
    this.ctx = ctx;
    this.actions = actions;
    this.one = null;
    this.every = false;
    this.node = ctx.el("aside", {
      class: "card incident-detail",
      "aria-label": ctx.t("detect.incident"),
      tabindex: "-1",
      hidden: true,
    });
  }

  async show(incident) {
    const same = this.one?.id === incident.id;
    if (!same) this.every = false;
    this.one = same ? { ...this.one, ...incident } : { ...incident, alerts: null };
    this.node.hidden = false;
    this.#draw();
    if (!same) this.node.scrollTop = 0;
    try {
      const whole = await this.ctx.api.get(`/incidents/${incident.id}`);
      if (this.one?.id !== incident.id) return;
      this.one = whole;
      this.#draw();
    } catch (error) {
      complain(error);
    }
  }

  /** After its row has changed. */
  update(items) {
    const now = this.one && items.find((one) => one.id === this.one.id);
    if (now && (now.count !== this.one.count || now.state !== this.one.state)) this.show(now);
  }

  hide() {
    this.one = null;
    this.node.hidden = true;
    clear(this.node);
  }

  #draw() {
    const { el, t, fmt } = this.ctx;
    const { one } = this;
    const focused = this.node.contains(document.activeElement) ? document.activeElement.dataset.act : null;
    this.node.replaceChildren(
      el(
        "header",
        { class: "detail-head" },
        el("span", { class: "badge", dataset: { kind: one.severity }, text: severityWord(one.severity, t) }),
        el("h3", { text: subject(one, t) }),
        button("\u00d7", () => this.actions.close(), { class: "quiet", "aria-label": t("detect.close") }),
      ),
      el(
        "div",
        { class: "toolbar detail-acts" },
        one.acknowledged
          ? el("span", { class: "detail-done", text: t("detect.acknowledged") })
          : button(t("detect.acknowledge"), () => this.#acknowledge(), { class: "primary", dataset: { act: "acknowledge" } }),
      ),
      el("p", { class: "incident-what", text: `${size(one, t, fmt)} \u00b7 ${stateWord(one, t)}` }),
      one.line === null
        ? null
        : el(
            "section",
            { class: "detail-line" },
            el("h4", { text: t("detect.incident_first") }),
            el("pre", { class: "mono", tabindex: "0", text: visible(one.line) }),
          ),
      this.#detectors(),
      ...["sources", "users", "hosts", "sessions", "kinds"].map((sort) => this.#names(sort)),
      this.#alerts(),
      this.#facts(),
    );
    if (focused) this.node.querySelector(`[data-act="${focused}"]`)?.focus();
  }

  async #acknowledge() {
    try {
      const now = await this.ctx.api.post(`/incidents/${this.one.id}/acknowledge`);
      this.one = { ...this.one, acknowledged: now.acknowledged };
      this.#draw();
      this.actions.changed(now);
    } catch (error) {
      complain(error);
    }
  }

  #detectors() {
    const { el, t, fmt } = this.ctx;
    return el(
      "section",
      {},
      el("h4", { text: t("detect.fact_agree") }),
      el(
        "ul",
        { class: "detail-counts" },
        this.one.detectors.map((detector) =>
          el(
            "li",
            {},
            el("span", { text: detector.name }),
            el("span", { class: "num", text: t("detect.nats", { n: fmt.number(detector.evidence) }) }),
          ),
        ),
      ),
    );
  }

  #names(sort) {
    const { el, t, fmt } = this.ctx;
    const { number, names, at_least: some } = this.one[sort];
    if (number === 0) return null;
    const rest = number - names.length;
    const more = rest > 0 ? t("detect.incident_more", { n: fmt.count(rest) + (some ? "+" : "") }) : null;
    const name = (text) =>
      sort === "sessions"
        ? el("button", { type: "button", class: "quiet-name mono", text: head(text, 120), on: { click: () => this.actions.only(text) } })
        : el("span", { class: "mono", text: head(text, 200) });
    return el(
      "section",
      { dataset: { sort } },
      el("h4", { text: `${t(`detect.incident_names_${sort}`)} (${fmt.count(number)})` }),
      el("ul", { class: "incident-names" }, names.map((text) => el("li", {}, name(text))), more && el("li", { class: "muted", text: more })),
    );
  }

  #alerts() {
    const { el, t, fmt } = this.ctx;
    const { alerts, count } = this.one;
    if (alerts === null || alerts === undefined) return el("p", { class: "muted", text: t("detect.loading") });
    const shown = this.every ? alerts : alerts.slice(0, SHOWN);
    const rest = alerts.length - shown.length;
    return el(
      "section",
      {},
      el("h4", { text: t("detect.incident_alerts") }),
      alerts.length < count
        ? el("p", { class: "muted", text: t("detect.incident_some", { n: fmt.count(alerts.length), all: fmt.count(count) }) })
        : null,
      el("ul", { class: "incident-alerts" }, shown.map((item) => this.#alert(item))),
      rest > 0
        ? button(t("detect.incident_more", { n: fmt.count(rest) }), () => {
            this.every = true;
            this.#draw();
          })
        : null,
    );
  }

  #alert(item) {
    const { el, t } = this.ctx;
    const { alert, number } = item;
    return el(
      "li",
      {},
      el(
        "button",
        { type: "button", class: "incident-alert", dataset: { alert: number }, on: { click: () => this.actions.alert(item) } },
        el("span", { class: "num", text: moment(alert.time) }),
        el("span", { class: "badge", dataset: { kind: alert.severity }, text: severityWord(alert.severity, t) }),
        el("span", { class: "mono", text: head(lineOf(alert) || alert.reason, 160) }),
      ),
    );
  }

  #facts() {
    const { el, t } = this.ctx;
    const { one } = this;
    const rows = [
      ["incident_from", moment(one.first)],
      ["incident_to", moment(one.last)],
      ["fact_rule", one.rules.join(", ")],
      ["fact_number", `${one.number} \u00b7 ${one.id}`],
    ];
    return el(
      "dl",
      { class: "detail-facts" },
      ...rows.flatMap(([name, text]) => [el("dt", { text: t(`detect.${name}`) }), el("dd", { text: String(text) })]),
    );
  }
}
