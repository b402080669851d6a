// Trials that have ended: what came of them, their reports, and two of them to compare.

import { button } from "../lib/dom.js";
import { complain } from "../lib/notice.js";
import { visible } from "./detect_text.js";

const SHOWN = 50;

export class Past {
  /** actions: open(id), compare(a, b). */
  constructor(ctx, actions) {
    this.ctx = ctx;
    this.actions = actions;
    this.found = [];
    this.picked = []; // at most two, in the order in which they were picked
    this.all = false;
    this.#build();
  }

  async load() {
    try {
      this.found = await this.ctx.api.get("/trials");
    } catch (error) {
      complain(error);
      return;
    }
    const ended = new Set(this.#ended().map((trial) => trial.id));
    this.picked = this.picked.filter((id) => ended.has(id));
    this.draw();
  }

  #ended() {
    return this.found.filter((trial) => !["running", "stopping"].includes(trial.state));
  }

  draw() {
    const ended = this.#ended();
    const shown = this.all ? ended : ended.slice(0, SHOWN);
    this.body.replaceChildren(...shown.map((trial) => this.#row(trial)));
    this.table.hidden = ended.length === 0;
    this.empty.hidden = ended.length > 0;
    this.more.hidden = shown.length === ended.length;
    this.#say();
  }

  #build() {
    const { el, t } = this.ctx;
    this.compareButton = button(t("trials.compare"), () => this.actions.compare(...this.#inOrder()), { dataset: { act: "compare" } });
    this.hint = el("span", { class: "muted", role: "status" });
    this.body = el("tbody", {});
    const heads = ["pick", "trial", "scenario", "result", "grade", "when", "long", "scale", "acts"];
    const numbers = new Set(["grade", "long", "scale"]);
    this.table = el(
      "table",
      { class: "table past-table" },
      el(
        "thead",
        {},
        el("tr", {}, heads.map((name) => el("th", { class: numbers.has(name) ? "num" : "", text: ["pick", "acts"].includes(name) ? "" : t(`trials.column.${name}`) }))),
      ),
      this.body,
    );
    this.empty = el("div", { class: "empty", hidden: true }, el("p", { text: t("trials.no_past") }), el("p", { class: "muted", text: t("trials.no_past_hint") }));
    this.more = button(t("trials.more"), () => {
      this.all = true;
      this.draw();
    });
    this.more.hidden = true;
    this.node = el(
      "section",
      { class: "card past" },
      el("header", { class: "card-head" }, el("h2", { text: t("trials.past") }), this.hint, this.compareButton),
      this.table,
      this.empty,
      this.more,
    );
  }

  #row(trial) {
    const { el, t, fmt } = this.ctx;
    const pick = el("input", {
      type: "checkbox",
      checked: this.picked.includes(trial.id),
      "aria-label": t("trials.pick", { id: trial.id }),
      on: { change: () => this.#pick(trial.id, pick.checked) },
    });
    const seconds = trial.ended ? (Date.parse(trial.ended) - Date.parse(trial.started)) / 1000 : null;
    const scale = [
      trial.scale_time !== 1 && t("trials.times", { n: trial.scale_time }),
      trial.scale_rate !== 1 && t("trials.rates", { n: trial.scale_rate }),
    ];
    const cell = (name, settings, ...children) => el("td", { ...settings, dataset: { cell: name } }, ...children);
    return el(
      "tr",
      { dataset: { trial: trial.id } },
      cell("pick", {}, pick),
      cell("trial", {}, el("button", { type: "button", class: "link", text: trial.id, on: { click: () => this.actions.open(trial.id) } })),
      cell("scenario", { text: trial.scenario }),
      cell("result", {}, resultBadge(trial, el, t), trial.error ? el("span", { class: "wrong past-error", text: visible(trial.error) }) : null),
      cell("grade", { class: "num", text: trial.grade ?? "\u2013" }),
      cell("when", { class: "num", text: fmt.time(trial.started) }),
      cell("long", { class: "num", text: fmt.seconds(seconds) }),
      cell("scale", { class: "num muted", text: scale.filter(Boolean).join(" \u00b7 ") || "\u2013" }),
      cell("acts", {}, button("\u00d7", () => this.#forget(trial), { class: "quiet", "aria-label": t("trials.forget", { id: trial.id }), title: t("trials.forget", { id: trial.id }) })),
    );
  }

  #pick(id, on) {
    this.picked = this.picked.filter((one) => one !== id);
    if (on) this.picked = [...this.picked, id].slice(-2);
    for (const row of this.body.children) row.querySelector("input").checked = this.picked.includes(row.dataset.trial);
    this.#say();
  }

  /** The older one first. */
  #inOrder() {
    const number = (id) => Number(id.split("-")[1]);
    return [...this.picked].sort((a, b) => number(a) - number(b));
  }

  #say() {
    const { t } = this.ctx;
    this.compareButton.disabled = this.picked.length !== 2;
    this.compareButton.hidden = this.#ended().length < 2;
    this.hint.textContent = this.compareButton.hidden || this.picked.length === 2 ? "" : t("trials.pick_two");
  }

  async #forget(trial) {
    const { t, ask, api } = this.ctx;
    if (!(await ask(t("trials.forget_ask", { id: trial.id }), { yes: t("trials.delete"), danger: true }))) return;
    try {
      await api.delete(`/trials/${trial.id}`);
    } catch (error) {
      complain(error);
    }
    await this.load();
  }
}

/** Whether it met its criteria; where that is not known, what became of it. */
export function resultBadge(trial, el, t) {
  const [kind, word] =
    trial.passed === true
      ? ["good", "result.met"]
      : trial.passed === false
        ? ["bad", "result.missed"]
        : [{ failed: "failed", interrupted: "warn" }[trial.state] ?? trial.state, `state.${trial.state}`];
  return el("span", { class: "badge", dataset: { kind }, text: t(`trials.${word}`) });
}
