// Scenarios: those that come with haechi and one's own; the chosen one with its steps, and what starts it.

import { button, field } from "../lib/dom.js";
import { complain } from "../lib/notice.js";
import { keep, read } from "../lib/words.js";
import { saying, sentence } from "./detect_errors.js";
import { visible } from "./detect_text.js";
import { planned } from "./trials_figures.js";
import { curve, drawing } from "./trials_shape.js";
import { askText } from "./trials_text.js";

const KEPT = "haechi.trials.scale";

export class Scenarios {
  /** started(trial): one has begun. */
  constructor(ctx, started) {
    this.ctx = ctx;
    this.started = started;
    this.found = [];
    this.views = new Map();
    this.chosen = null;
    this.busy = false;
    this.#build();
  }

  async load() {
    const { api } = this.ctx;
    try {
      this.found = await api.get("/scenarios");
    } catch (error) {
      complain(error);
      return;
    }
    this.views.clear();
    // Drawings need the steps; there are few scenarios, and most are small.
    await Promise.all(this.found.map((one) => this.#fetch(one.name)));
    if (!this.found.some((one) => one.name === this.chosen)) this.chosen = this.found[0]?.name ?? null;
    this.draw();
  }

  /** Whether one runs already: then none can be started. */
  setBusy(busy) {
    if (busy === this.busy) return;
    this.busy = busy;
    this.#drawChosen();
  }

  draw() {
    const { el, t } = this.ctx;
    this.list.replaceChildren(...this.found.map((one) => this.#item(one)));
    this.#drawChosen();
    if (!this.found.length) this.list.append(el("li", { class: "empty", text: t("trials.no_scenarios") }));
  }

  async #fetch(name) {
    try {
      this.views.set(name, await this.ctx.api.get(`/scenarios/${encodeURIComponent(name)}`));
    } catch (error) {
      complain(error);
    }
  }

  #build() {
    const { el, t } = this.ctx;
    this.list = el("ul", { class: "scenarios", "aria-label": t("trials.scenarios") });
    this.list.addEventListener("keydown", (event) => this.#move(event));
    this.one = el("div", { class: "scenario" });
    this.node = el(
      "section",
      { class: "card scenarios-card" },
      el(
        "header",
        { class: "card-head" },
        el("h2", { text: t("trials.scenarios") }),
        button(t("trials.new"), () => this.#write(null), { dataset: { act: "new" } }),
      ),
      el("div", { class: "scenarios-body" }, this.list, this.one),
    );
  }

  #item(one) {
    const { el, t, fmt } = this.ctx;
    const view = this.views.get(one.name);
    return el(
      "li",
      {},
      el(
        "button",
        {
          type: "button",
          class: "scenario-item",
          dataset: { scenario: one.name },
          "aria-pressed": String(one.name === this.chosen),
          on: { click: () => this.#choose(one.name) },
        },
        el("b", { text: one.name }),
        el("span", { class: "muted num", text: planned(one.duration_s, t, fmt) }),
        view?.steps.length ? drawing(view.steps, { height: 28 }) : el("span", { class: "muted scenario-search", text: t("trials.search") }),
        one.shipped ? null : el("span", { class: "badge", text: t("trials.own") }),
      ),
    );
  }

  #choose(name) {
    this.chosen = name;
    for (const item of this.list.querySelectorAll(".scenario-item")) {
      item.setAttribute("aria-pressed", String(item.dataset.scenario === name));
    }
    this.#drawChosen();
  }

  #move(event) {
    const items = [...this.list.querySelectorAll(".scenario-item")];
    const at = items.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
    if (at < 0 || to === undefined || !items[to]) return;
    event.preventDefault();
    items[to].focus();
  }

  #drawChosen() {
    const { el, t } = this.ctx;
    const view = this.views.get(this.chosen);
    if (view === undefined) {
      this.one.replaceChildren();
      return;
    }
    const acts = [
      button(t("trials.yaml"), () => this.#write(view), { dataset: { act: "yaml" } }),
      view.shipped
        ? null
        : button(t("trials.delete"), () => this.#remove(view), { class: "danger", dataset: { act: "delete" } }),
    ];
    this.one.replaceChildren(
      el("header", {}, el("h3", { text: view.name }), el("div", { class: "toolbar" }, acts)),
      el("p", { class: "muted", text: visible(view.description) }),
      this.#start(view),
      view.steps.length ? this.#picture(view) : this.#search(view),
      view.criteria.length
        ? el(
            "div",
            { class: "scenario-whole" },
            el("span", { class: "muted", text: t("trials.of_whole") }),
            view.criteria.map((text) => el("code", { text: visible(text) })),
          )
        : null,
      el("p", { class: "muted", text: t("trials.target", { kind: t(`trials.target.${view.target.kind}`), address: view.target.address, ports: view.target.ports }) }),
    );
  }

  #start(view) {
    const { el, t, api, fmt } = this.ctx;
    const before = kept();
    const number = (name) =>
      el("input", { type: "number", name, min: "0.000001", max: "1000", step: "any", value: String(before[name] ?? 1), required: true });
    const inputs = { scale_time: number("scale_time"), scale_rate: number("scale_rate") };
    const wrong = saying(el);
    const said = el("span", { class: "muted num" });
    const tell = () => {
      const long = view.duration_s === null ? null : view.duration_s * Number(inputs.scale_time.value);
      const most = Math.max(0, ...view.steps.map((step) => step.eps_highest)) * Number(inputs.scale_rate.value);
      said.textContent = [long === null ? "" : planned(long, t, fmt), most ? t("trials.up_to", { rate: fmt.rate(most) }) : ""]
        .filter(Boolean)
        .join(" \u00b7 ");
    };
    for (const input of Object.values(inputs)) input.addEventListener("input", tell);
    tell();
    const go = button(t("trials.start"), () => {}, { class: "primary", type: "submit", disabled: this.busy, dataset: { act: "start" } });
    const form = el(
      "form",
      { class: "trial-start" },
      field(t("trials.scale_time"), inputs.scale_time),
      field(t("trials.scale_rate"), inputs.scale_rate),
      go,
      said,
      this.busy ? el("span", { class: "muted", text: t("trials.one_at_a_time") }) : null,
    );
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (go.disabled) return;
      wrong.say("");
      go.disabled = true;
      const scales = { scale_time: Number(inputs.scale_time.value), scale_rate: Number(inputs.scale_rate.value) };
      try {
        const trial = await api.post("/trials", { scenario: view.name, ...scales });
        keep(KEPT, JSON.stringify(scales));
        this.started(trial);
      } catch (error) {
        wrong.say(sentence(error, t));
        go.disabled = this.busy;
      }
    });
    return el("div", { class: "stack" }, form, wrong.node);
  }

  #picture(view) {
    const { el, t, fmt } = this.ctx;
    const most = Math.max(...curve(view.steps).map(([, eps]) => eps));
    return el(
      "div",
      { class: "scenario-steps" },
      el(
        "div",
        { class: "scenario-drawing" },
        el("span", { class: "muted num", text: `${fmt.rate(most)}/s` }),
        drawing(view.steps, { width: 640, height: 96, label: t("trials.drawing", { name: view.name }) }),
      ),
      el(
        "table",
        { class: "table" },
        el(
          "thead",
          {},
          el("tr", {}, ["step", "time", "rate", "criteria"].map((name) => el("th", { text: t(`trials.column.${name}`), class: name === "time" ? "num" : "" }))),
        ),
        el(
          "tbody",
          {},
          view.steps.map((step) =>
            el(
              "tr",
              {},
              el("td", {}, el("b", { text: visible(step.name) }), step.anomalies ? el("span", { class: "badge", dataset: { kind: "medium" }, text: t("trials.anomalies") }) : null),
              el("td", { class: "num", text: planned(step.duration_s, t, fmt) }),
              el("td", { text: `${t(`trials.pattern.${step.pattern}`)} ${fmt.rate(step.eps_highest)}/s` }),
              el("td", {}, el("div", { class: "codes" }, step.criteria.map((text) => el("code", { text: visible(text) })))),
            ),
          ),
        ),
      ),
    );
  }

  #search(view) {
    const { el, t, fmt } = this.ctx;
    const of = view.search;
    const rows = [
      ["search_from", `${fmt.rate(of.from)}/s`],
      ["search_to", `${fmt.rate(of.to)}/s`],
      ["search_trial", planned(of.trial, t, fmt)],
      ["search_repeats", fmt.count(of.repeats)],
      ["search_partial", fmt.percent(of.partial_loss)],
      ["search_confidence", fmt.percent(of.confidence)],
    ];
    return el("dl", { class: "facts" }, rows.flatMap(([name, text]) => [el("dt", { text: t(`trials.${name}`) }), el("dd", { class: "num", text })]));
  }

  async #write(view) {
    const name = await askText(this.ctx, view);
    if (name === null) return;
    this.chosen = name;
    await this.load();
  }

  async #remove(view) {
    const { t, ask, api } = this.ctx;
    if (!(await ask(t("trials.delete_ask", { name: view.name }), { yes: t("trials.delete"), danger: true }))) return;
    try {
      await api.delete(`/scenarios/${encodeURIComponent(view.name)}`);
    } catch (error) {
      complain(error);
    }
    await this.load();
  }
}

function kept() {
  try {
    return JSON.parse(read(KEPT)) ?? {};
  } catch {
    return {};
  }
}

