// One alert, whole: the line, why, what was expected instead, what came before; and what can be done with it.

import { button, clear } from "../lib/dom.js";
import { complain, openDialog } from "../lib/notice.js";
import { explainer } from "./detect_explain.js";
import { visible } from "./detect_text.js";
import { expectedWord, isEnd, ruleWord, severityWord, why } from "./detect_words.js";

const TIMES = [
  ["900", "mute_900"],
  ["3600", "mute_3600"],
  ["28800", "mute_28800"],
  ["86400", "mute_86400"],
  ["604800", "mute_604800"],
];

/** Asks for how long, then mutes. */
export function askMute(ctx, store, item) {
  const { el, t } = ctx;
  const choices = TIMES.map(([value, key], i) =>
    el(
      "label",
      { class: "check" },
      el("input", { type: "radio", name: "seconds", value, checked: i === 1 }),
      el("span", { text: t(`detect.${key}`) }),
    ),
  );
  const form = el(
    "form",
    { method: "dialog", class: "stack" },
    el("p", { class: "muted", text: t("detect.mute_what") }),
    el("fieldset", { class: "choices" }, el("legend", { text: t("detect.mute_for") }), ...choices),
    el(
      "div",
      { class: "toolbar end" },
      el("button", { type: "submit", class: "button primary", text: t("detect.mute"), value: "yes" }),
    ),
  );
  const dialog = openDialog(t("detect.mute_title"), form);
  form.querySelector("input:checked").focus();
  form.addEventListener("submit", () => {
    const seconds = Number(new FormData(form).get("seconds"));
    doing(store.mute(item, seconds));
  });
  return dialog;
}

/** A refusal becomes a notice. */
export async function doing(promise) {
  try {
    await promise;
  } catch (error) {
    complain(error);
  }
}

export class AlertDetail {
  /** actions: close(), only(session). */
  constructor(ctx, store, actions) {
    this.ctx = ctx;
    this.store = store;
    this.actions = actions;
    this.item = null;
    this.node = ctx.el("aside", {
      class: "card alert-detail",
      "aria-label": ctx.t("detect.detail"),
      tabindex: "-1",
      hidden: true,
    });
  }

  show(item) {
    this.item = item;
    this.node.hidden = false;
    this.#draw();
    this.node.scrollTop = 0;
  }

  hide() {
    this.item = null;
    this.node.hidden = true;
    clear(this.node);
  }

  /** After something changed: the same alert as it is now. */
  update() {
    if (this.item === null) return;
    const { acknowledged, muted } = this.item;
    if (this.drawn !== `${this.item.number} ${acknowledged} ${muted}`) this.#draw();
  }

  #draw() {
    const { item } = this;
    const { alert } = item;
    const { el, t } = this.ctx;
    this.drawn = `${item.number} ${item.acknowledged} ${item.muted}`;
    const focused = this.node.contains(document.activeElement) ? document.activeElement.dataset.act : null;
    // What was explained stays while the same alert is drawn anew.
    if (this.explainedOf !== alert.id) this.explained = explainer(this.ctx, item);
    this.explainedOf = alert.id;
    this.node.replaceChildren(
      el(
        "header",
        { class: "detail-head" },
        el("span", { class: "badge", dataset: { kind: alert.severity }, text: severityWord(alert.severity, t) }),
        el("h3", { text: ruleWord(alert.rule, t) }),
        button("\u00d7", () => this.actions.close(), { class: "quiet", "aria-label": t("detect.close") }),
      ),
      this.#acts(),
      ...this.#line(),
      this.#reason(),
      this.#expected(),
      this.#counts(),
      this.#before(),
      this.explained.place,
      this.#facts(),
    );
    if (focused) this.node.querySelector(`[data-act="${focused}"]`)?.focus();
  }

  #acts() {
    const { el, t } = this.ctx;
    const { item, store } = this;
    const acknowledged = item.acknowledged
      ? el("span", { class: "detail-done", text: t("detect.acknowledged") })
      : button(t("detect.acknowledge"), () => doing(store.acknowledge(item)), {
          class: "primary",
          dataset: { act: "acknowledge" },
        });
    const mute = item.muted
      ? button(t("detect.unmute"), () => doing(store.unmute(item)), { dataset: { act: "mute" } })
      : button(t("detect.mute_ask"), () => void askMute(this.ctx, store, item), { dataset: { act: "mute" } });
    const session = item.alert.session
      ? button(t("detect.only_session"), () => this.actions.only(item.alert.session), { dataset: { act: "session" } })
      : null;
    return el("div", { class: "toolbar detail-acts" }, acknowledged, mute, session, this.explained.ask);
  }

  #line() {
    const { el, t, fmt } = this.ctx;
    const lines = this.item.alert.lines ?? [];
    if (lines.length === 0) return [el("p", { class: "muted", text: t("detect.no_line") })];
    return lines.map((line) =>
      el(
        "section",
        { class: "detail-line" },
        el("h4", { text: t(isEnd(this.item.alert) ? "detect.last_line" : "detect.line") }),
        line.text === null
          ? el("p", { class: "muted", text: t("detect.line_gone") })
          : el("pre", { class: "mono", tabindex: "0", text: visible(line.text) }),
        el("p", {
          class: "muted detail-place",
          text:
            t("detect.place", { source: visible(line.source), offset: fmt.count(line.offset) }) +
            (line.length ? ` \u00b7 ${t("detect.cut", { length: fmt.bytes(line.length) })}` : ""),
        }),
      ),
    );
  }

  #reason() {
    const { el, t, fmt } = this.ctx;
    const { alert } = this.item;
    const own = why(alert, t, fmt);
    return el(
      "section",
      {},
      el("h4", { text: t("detect.why") }),
      el("p", { class: "detail-why", text: own }),
      own === visible(alert.reason) ? null : el("p", { class: "muted detail-reason", text: visible(alert.reason) }),
      el("p", {
        class: "muted",
        text: t("detect.score_over", { score: fmt.number(alert.score), threshold: fmt.number(alert.threshold) }),
      }),
    );
  }

  #expected() {
    const { el, t, fmt } = this.ctx;
    const expected = this.item.alert.expected ?? [];
    if (expected.length === 0) return null;
    return el(
      "section",
      {},
      el("h4", { text: t("detect.expected_instead") }),
      el(
        "ul",
        { class: "detail-expected" },
        ...expected.map((one) =>
          el(
            "li",
            {},
            el("span", { class: "mono", text: expectedWord(one, t) }),
            el("meter", { min: "0", max: "1", value: one.probability, "aria-hidden": "true" }),
            el("span", { class: "num", text: fmt.percent(one.probability) }),
          ),
        ),
      ),
    );
  }

  /** What differs most from the most similar session of training. */
  #counts() {
    const { el, t, fmt } = this.ctx;
    const counts = this.item.alert.detail?.counts ?? [];
    if (counts.length === 0) return null;
    return el(
      "section",
      {},
      el("h4", { text: t("detect.counts_differ") }),
      el(
        "ul",
        { class: "detail-counts" },
        counts.map((one) =>
          el(
            "li",
            {},
            el("span", { class: "mono", text: visible(one.template) }),
            el("span", { class: "num", text: t("detect.count_usual", { count: fmt.count(one.count), usual: fmt.count(one.usual) }) }),
          ),
        ),
      ),
    );
  }

  #before() {
    const { el, t } = this.ctx;
    const { alert } = this.item;
    const before = alert.before ?? [];
    if (before.length === 0) return null;
    const came = isEnd(alert) ? t("detect.session_end") : (alert.template ?? t("detect.unknown_line"));
    return el(
      "section",
      {},
      el("h4", { text: t("detect.before") }),
      el(
        "ol",
        { class: "detail-before mono" },
        ...before.map((text) => el("li", { text: visible(text) })),
        el("li", { class: "is-it", text: visible(came) }),
      ),
    );
  }

  #facts() {
    const { el, t, fmt } = this.ctx;
    const { alert, job, number } = this.item;
    const rows = [
      ["time", alert.time ?? t("detect.no_time")],
      ["session", visible(alert.session) || "\u2013"],
      ["detector", `${alert.detector} \u00b7 ${job}`],
      ["rule", alert.rule],
      ...(alert.evidence === undefined ? [] : [["evidence", t("detect.nats", { n: fmt.number(alert.evidence) })]]),
      ...((alert.detectors?.length ?? 0) > 1
        ? [["agree", alert.detectors.map((one) => `${one.name} ${fmt.number(one.evidence)}`).join(", ")]]
        : []),
      ["stage", t(alert.stage === 2 ? "detect.stage_model" : "detect.stage_rule")],
      ["template", alert.template === null ? "\u2013" : `${alert.log_key}: ${visible(alert.template)}`],
      ["bundle", alert.bundle],
      ["number", `${number} \u00b7 ${alert.id}`],
    ];
    return el(
      "dl",
      { class: "detail-facts" },
      ...rows.flatMap(([name, text]) => [el("dt", { text: t(`detect.fact_${name}`) }), el("dd", { text: String(text) })]),
    );
  }
}
