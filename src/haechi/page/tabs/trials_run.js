// The trial that runs: its stages, its criteria as they are decided, rate against target, loss and latency.

import { button, write } from "../lib/dom.js";
import { complain } from "../lib/notice.js";
import { Chart } from "./trials_chart.js";
import { criteriaList } from "./trials_criteria.js";
import { visible } from "./detect_text.js";
import { curve } from "./trials_shape.js";

export class Run {
  /** ended(trial): it runs no more. */
  constructor(ctx, ended) {
    this.ctx = ctx;
    this.ended = ended;
    this.id = null;
    this.samples = new Map(); // by second, since the server keeps the last ones only
    this.asking = false;
    this.#build();
  }

  destroy() {
    for (const chart of Object.values(this.charts)) chart.destroy();
  }

  /** What the feed says of trials, once a second. */
  async take(trials) {
    const [said] = trials ?? [];
    const id = said?.id ?? null;
    if (id !== null && id !== this.id) {
      this.id = id;
      this.samples.clear();
    }
    if (this.id === null || this.asking) return;
    this.asking = true;
    try {
      const trial = await this.ctx.api.get(`/trials/${this.id}`);
      const alive = ["running", "stopping"].includes(trial.state);
      this.draw(trial);
      if (!alive) {
        this.id = null;
        this.ended(trial);
      }
    } catch (error) {
      if (error.status === 404) {
        this.id = null;
        this.node.hidden = true;
      }
    } finally {
      this.asking = false;
    }
  }

  draw(trial) {
    const { t, fmt } = this.ctx;
    const { progress } = trial;
    const steps = progress.steps ?? [];
    const alive = ["running", "stopping"].includes(trial.state);
    this.node.hidden = !alive;
    if (!alive) return;
    write(this.name, trial.scenario);
    write(this.number, trial.id);
    this.state.dataset.kind = trial.state;
    write(this.state, t(`trials.state.${trial.state}`));
    this.stopButton.disabled = trial.state === "stopping";
    const long = progress.duration_s ?? null;
    write(
      this.time,
      long === null
        ? fmt.seconds(progress.elapsed_s ?? 0)
        : t("trials.elapsed", { now: fmt.seconds(Math.min(progress.elapsed_s ?? 0, long)), all: fmt.seconds(long) }),
    );
    write(this.words, visible((progress.words ?? []).at(-1) ?? (steps.length || long === null ? "" : t("trials.preparing"))));
    this.#stages(steps, progress);
    this.#criteria(progress.criteria ?? [], steps);
    for (const sample of progress.samples ?? []) this.samples.set(sample[0], sample);
    this.#plot(steps, long, progress);
  }

  #build() {
    const { el, t, fmt } = this.ctx;
    this.name = el("h2", {});
    this.number = el("span", { class: "muted" });
    this.state = el("span", { class: "badge", dataset: { kind: "running" } });
    this.time = el("span", { class: "num run-time" });
    this.words = el("p", { class: "muted run-words" });
    this.stopButton = button(t("trials.stop"), () => this.#stop(), { class: "danger", dataset: { act: "stop-trial" } });
    this.stages = el("ol", { class: "stages", "aria-label": t("trials.stages") });
    this.criteria = el("div", { class: "run-criteria" });
    const rate = (value) => `${fmt.rate(value)}/s`;
    const series = (...names) => names.map(([name, kind]) => ({ name: t(`trials.series.${name}`), kind }));
    this.charts = {
      rate: new Chart({ title: t("trials.plot.rate"), series: series(["target", "target"], ["sent", "a"]), write: rate, height: 170 }),
      loss: new Chart({ title: t("trials.plot.loss"), series: series(["loss", "bad"]), write: fmt.percent, least: 0.001, height: 110 }),
      latency: new Chart({ title: t("trials.plot.latency"), series: series(["p99", "b"]), write: fmt.micros, least: 100, height: 110 }),
    };
    this.node = el(
      "section",
      { class: "card run live", hidden: true, "aria-label": t("trials.run") },
      el("header", { class: "card-head" }, this.name, this.number, this.state, this.time, this.stopButton),
      this.words,
      this.stages,
      el(
        "div",
        { class: "run-body" },
        el("div", { class: "run-plots" }, Object.values(this.charts).map((chart) => chart.node)),
        el("div", { class: "run-side" }, el("h3", { text: t("trials.criteria") }), this.criteria),
      ),
    );
  }

  #stages(steps, progress) {
    const { el, t, fmt } = this.ctx;
    const stamp = JSON.stringify([steps.map((step) => [step.name, step.state]), Math.round((progress.elapsed_s ?? 0) * 2)]);
    if (stamp === this.stamp) return;
    this.stamp = stamp;
    this.stages.hidden = steps.length === 0;
    this.stages.replaceChildren(
      ...steps.map((step, i) => {
        const within = (progress.elapsed_s ?? 0) - step.begin_s;
        const done = step.state === "done" ? 1 : step.state === "running" ? Math.min(1, Math.max(0, within / step.duration_s)) : 0;
        const bar = el("i", {});
        bar.style.width = `${(done * 100).toFixed(1)}%`;
        const node = el(
          "li",
          { dataset: { state: step.state, step: i }, title: visible(step.words ?? "") },
          el("span", { class: "stage-bar" }, bar),
          el("span", { class: "stage-name", text: visible(step.name) }),
          el("span", { class: "muted num stage-rate", text: `${fmt.rate(step.eps_highest)}/s` }),
          el("span", { class: "visually-hidden", text: t(`trials.stage.${step.state}`) }),
        );
        node.style.flexGrow = String(Math.max(0.001, step.duration_s));
        return node;
      }),
    );
  }

  #criteria(criteria, steps) {
    const { el, t, fmt } = this.ctx;
    const stamp = JSON.stringify(criteria);
    if (stamp === this.shown) return;
    this.shown = stamp;
    const groups = new Map();
    for (const one of criteria) groups.set(one.step, [...(groups.get(one.step) ?? []), one]);
    this.criteria.replaceChildren(
      ...[...groups].map(([step, of]) =>
        el(
          "section",
          { dataset: { step: step ?? "whole" } },
          el("h4", { text: step === null ? t("trials.of_whole") : visible(steps[step]?.name ?? String(step + 1)) }),
          criteriaList(of, t, fmt),
        ),
      ),
    );
    if (!criteria.length) this.criteria.append(el("p", { class: "muted", text: t("trials.no_criteria") }));
  }

  #plot(steps, long, progress) {
    const samples = [...this.samples.values()].sort((a, b) => a[0] - b[0]);
    const bands = steps.map((step) => ({ from: step.begin_s, to: step.begin_s + step.duration_s, name: step.name }));
    const of = (...columns) => ({
      rows: samples.map((sample) => [sample[0], ...columns.map((column) => sample[column])]),
      bands,
      long: long ?? progress.elapsed_s ?? null,
    });
    this.charts.rate.set({ ...of(1, 2), planned: curve(steps) });
    this.charts.loss.set(of(3));
    this.charts.latency.set(of(4));
  }

  async #stop() {
    const { t, ask, api } = this.ctx;
    if (!(await ask(t("trials.stop_ask", { id: this.id }), { yes: t("trials.stop"), danger: true }))) return;
    try {
      await api.post(`/trials/${this.id}/stop`);
    } catch (error) {
      complain(error);
    }
  }
}
