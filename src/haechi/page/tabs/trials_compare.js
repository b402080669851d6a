// Two trials, figure by figure: what became better and what worse.

import { button } from "../lib/dom.js";
import { saying, sentence } from "./detect_errors.js";
import { visible } from "./detect_text.js";
import { figure, figureWord } from "./trials_figures.js";

const SAME = 0.005; // a change below half a percent is none to speak of

/** better, worse, same, or unknown. */
function verdict(row) {
  if (row.change === null || row.change === undefined) return "unknown";
  if (Math.abs(row.change) < SAME) return "same";
  return row.change > 0 ? "worse" : "better";
}

export class Compare {
  constructor(ctx, back) {
    const { el } = ctx;
    this.ctx = ctx;
    this.back = back;
    this.node = el("section", { class: "card compare" });
    this.only = true;
  }

  async show(a, b) {
    const { el, t, api } = this.ctx;
    const wrong = saying(el);
    this.node.replaceChildren(el("p", { class: "muted", text: t("trials.loading") }));
    try {
      const [diff, first, second] = await Promise.all([api.get(`/trials/${a}/diff/${b}`), api.get(`/trials/${a}`), api.get(`/trials/${b}`)]);
      this.#draw(diff.rows, first, second);
    } catch (error) {
      this.node.replaceChildren(this.#head(a, b), wrong.node);
      wrong.say(sentence(error, t));
    }
  }

  #head(a, b) {
    const { el, t } = this.ctx;
    return el(
      "header",
      { class: "card-head" },
      button(t("trials.back"), () => this.back(), { class: "quiet", dataset: { act: "back" } }),
      el("h2", { text: t("trials.compare_title", { a, b }) }),
    );
  }

  #draw(rows, a, b) {
    const { el, t, fmt } = this.ctx;
    const count = (of) => rows.filter((row) => verdict(row) === of).length;
    const only = el("input", {
      type: "checkbox",
      checked: this.only,
      on: {
        change: () => {
          this.only = only.checked;
          this.#draw(rows, a, b);
        },
      },
    });
    const groups = new Map();
    for (const row of rows) {
      if (this.only && !["better", "worse"].includes(verdict(row))) continue;
      groups.set(row.step, [...(groups.get(row.step) ?? []), row]);
    }
    const about = (trial) => `${trial.scenario} \u00b7 ${fmt.time(trial.started)}`;
    this.node.replaceChildren(
      this.#head(a.id, b.id),
      el("p", { class: "muted", text: `${a.id}: ${about(a)} \u2192 ${b.id}: ${about(b)}` }),
      el(
        "div",
        { class: "toolbar compare-said" },
        el("span", { class: "badge", dataset: { kind: "good" }, text: t("trials.n_better", { n: count("better") }) }),
        el("span", { class: "badge", dataset: { kind: "bad" }, text: t("trials.n_worse", { n: count("worse") }) }),
        el("span", { class: "badge", dataset: { kind: "plain" }, text: t("trials.n_same", { n: count("same") }) }),
        el("label", { class: "check" }, only, el("span", { text: t("trials.only_changed") })),
      ),
      groups.size ? this.#table(groups, a, b) : el("div", { class: "empty", text: t("trials.nothing_changed") }),
    );
  }

  #table(groups, a, b) {
    const { el, t } = this.ctx;
    return el(
      "table",
      { class: "table compare-table" },
      el(
        "thead",
        {},
        el("tr", {}, el("th", { text: t("trials.column.figure") }), el("th", { class: "num", text: a.id }), el("th", { class: "num", text: b.id }), el("th", { text: t("trials.column.change") })),
      ),
      [...groups].map(([step, rows]) =>
        el(
          "tbody",
          {},
          el("tr", { class: "group" }, el("th", { colspan: "4", scope: "colgroup", text: step === null ? t("trials.of_whole") : visible(step) })),
          rows.map((row) => this.#row(row)),
        ),
      ),
    );
  }

  #row(row) {
    const { el, t, fmt } = this.ctx;
    const of = verdict(row);
    const by = row.change === null ? "" : fmt.percent(Math.abs(row.change));
    return el(
      "tr",
      { dataset: { verdict: of, figure: row.figure } },
      el("td", { text: figureWord(row.figure, t), title: row.figure }),
      el("td", { class: "num wrap", text: figure(row.figure, row.a, fmt) }),
      el("td", { class: "num wrap", text: figure(row.figure, row.b, fmt) }),
      el("td", { class: "verdict wrap", text: of === "unknown" ? "\u2013" : t(`trials.${of}`, { by }) }),
    );
  }
}
