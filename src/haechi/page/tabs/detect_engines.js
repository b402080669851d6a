// The detectors: what each of them reads, how fast, what its memo and its model do, and every loss by its name;
// the chosen one's last minutes as plots.

import { button, clear, write } from "../lib/dom.js";
import { complain } from "../lib/notice.js";
import { timePlot } from "../lib/plot.js";
import { doing } from "./detect_detail.js";
import { figuresOf, History, LOSSES, SECONDS } from "./detect_history.js";
import { askBundle, askStart } from "./detect_start.js";
import { visible } from "./detect_text.js";

const ENDED_SHOWN = 3;
const FIGURES = ["eps", "memo", "model", "unseen", "alerts", ...LOSSES, "sessions", "cpu", "memory"];
const PLOTS = [
  { name: "eps", unit: "eps", series: ["eps"] },
  { name: "shares", unit: "percent", series: ["memo", "model"], top: 100 },
  { name: "found", unit: "eps", series: ["unseen", "alerts"] },
  { name: "losses", unit: "eps", series: LOSSES, top: 10 },
];
const COLOURS = ["--accent", "--good", "--warn", "--bad"];
const LOSS_COLOURS = ["--warn", "--accent", "--text", "--bad", "--critical", "--muted"];

export class Engines {
  /** chosen(id): another detector was chosen. */
  constructor(ctx, chosen) {
    this.ctx = ctx;
    this.onChosen = chosen;
    this.history = new History();
    this.jobs = [];
    this.rows = new Map();
    this.totals = new Map(); // of those that have ended
    this.chosen = null;
    this.states = "";
    this.plots = [];
    this.message = null;
    this.#build();
  }

  destroy() {
    for (const { plot } of this.plots) plot.destroy();
    this.plots = [];
  }

  /** A message of the feed: figures of those that run; the list anew where one has begun or ended. */
  take(message) {
    this.message = message;
    const states = (message.detectors ?? []).map((one) => `${one.id} ${one.state}`).join();
    if (states !== this.states) {
      this.states = states;
      this.load();
    }
    const fresh = this.history.take(message);
    this.#fill();
    const point = fresh.get(this.chosen);
    if (point) for (const one of this.plots) one.plot.push(point.t, one.series.map((name) => point.values[name]));
  }

  async load() {
    const asked = (this.asked = Symbol("load"));
    let jobs;
    try {
      jobs = await this.ctx.api.get("/detectors");
    } catch (error) {
      complain(error);
      return;
    }
    if (asked !== this.asked) return; // a later answer is on its way
    this.jobs = jobs.reverse();
    const alive = this.jobs.filter((job) => !["done", "failed"].includes(job.state));
    const ended = this.jobs.filter((job) => !alive.includes(job)).slice(0, ENDED_SHOWN);
    await Promise.all(ended.map((job) => this.#total(job)));
    if (asked !== this.asked) return;
    this.history.keep(new Set(this.jobs.map((job) => job.id)));
    this.#rows([...alive, ...ended]);
    const there = this.jobs.some((job) => job.id === this.chosen);
    this.#choose(there ? this.chosen : ((alive[0] ?? ended[0])?.id ?? null));
    this.#fill();
  }

  /** A list has no totals; of one that has ended they stay as they are. */
  async #total(job) {
    if (!this.totals.has(job.id)) {
      try {
        this.totals.set(job.id, (await this.ctx.api.get(`/detectors/${job.id}`)).result);
      } catch {
        return; // it was removed meanwhile
      }
    }
    job.result = this.totals.get(job.id);
  }

  #build() {
    const { el, t } = this.ctx;
    this.list = el("div", { class: "engines" });
    // Closed where they would push the alerts out of sight.
    this.plotArea = el("div", { class: "engine-plots live" });
    this.plotBox = el(
      "details",
      { class: "plots-box", hidden: true, open: !window.matchMedia("(max-width: 760px)").matches },
      el("summary", { text: t("detect.plots") }),
      this.plotArea,
    );
    this.empty = el(
      "div",
      { class: "empty", hidden: true },
      el("p", { text: t("detect.no_detectors") }),
      el("p", { class: "muted", text: t("detect.no_detectors_hint") }),
    );
    this.node = el(
      "section",
      { class: "card engines-card" },
      el(
        "header",
        { class: "card-head" },
        el("h2", { text: t("detect.detectors") }),
        button(t("detect.start_detector"), () => this.#start(), { class: "primary", dataset: { act: "start" } }),
      ),
      this.list,
      this.empty,
      this.plotBox,
    );
  }

  async #start() {
    const bundles = [...new Set(this.jobs.map((job) => job.settings.bundle).filter(Boolean))];
    const made = await askStart(this.ctx, bundles);
    if (made) {
      this.chosen = made.id;
      await this.load();
    }
  }

  #rows(jobs) {
    this.rows = new Map(jobs.map((job) => [job.id, this.#row(job)]));
    this.list.replaceChildren(...[...this.rows.values()].map((row) => row.node));
    this.empty.hidden = jobs.length > 0;
  }

  #row(job) {
    const { el, t } = this.ctx;
    const figures = new Map(
      FIGURES.map((name) => [name, el("dd", { class: "num", text: "\u2013", dataset: { figure: name } })]),
    );
    const alive = !["done", "failed"].includes(job.state);
    const acts = alive
      ? [
          job.state !== "running" ? null : button(t("detect.swap"), () => this.#swap(job), { dataset: { act: "swap" } }),
          button(t("detect.stop"), () => this.#stop(job), {
            class: "danger",
            disabled: job.state === "stopping",
            dataset: { act: "stop" },
          }),
        ]
      : [button(t("detect.forget"), () => this.#forget(job), { dataset: { act: "forget" } })];
    const node = el(
      "article",
      { class: "engine", dataset: { detector: job.id, state: job.state } },
      el(
        "header",
        {},
        el("button", {
          type: "button",
          class: "engine-name",
          text: job.id,
          "aria-pressed": "false",
          on: { click: () => this.#choose(job.id) },
        }),
        el("span", { class: "badge", dataset: { kind: job.state }, text: t(`detect.job_${job.state}`) }),
        el("span", { class: "muted engine-reads", text: readsWhat(job.settings) }),
        el("div", { class: "toolbar engine-acts" }, ...acts),
      ),
      el(
        "dl",
        { class: "engine-figures live" },
        ...[...figures].map(([name, value]) =>
          el("div", { dataset: { of: name } }, el("dt", { text: t(`detect.figure_${name}`), title: t(`detect.about_${name}`) }), value),
        ),
      ),
      job.error ? el("p", { class: "wrong", text: visible(job.error) }) : null,
      job.state === "failed" && job.words.length
        ? el("pre", { class: "mono engine-words", text: visible(job.words.join(" \u23ce ")) })
        : null,
    );
    return { node, figures, job };
  }

  #fill() {
    const said = new Map((this.message?.detectors ?? []).map((one) => [one.id, one]));
    for (const [id, row] of this.rows) {
      const found = figuresOf(said.get(id)) ?? fromResult(row.job.result);
      if (found === null) continue;
      for (const [name, node] of row.figures) {
        write(node, this.#shown(name, found[name]));
        node.classList.toggle("is-loss", LOSSES.includes(name) && found[name] > 0);
      }
    }
  }

  #shown(name, value) {
    const { fmt } = this.ctx;
    if (name === "eps") return fmt.rate(value);
    if (["memo", "model", "cpu"].includes(name)) return fmt.percent(value);
    if (name === "memory") return fmt.bytes(value);
    return fmt.count(value);
  }

  #choose(id) {
    for (const [name, row] of this.rows) {
      row.node.querySelector(".engine-name").setAttribute("aria-pressed", String(name === id));
      row.node.classList.toggle("is-chosen", name === id);
    }
    if (id === this.chosen && this.plots.length) return;
    this.chosen = id;
    this.#plot();
    this.onChosen(id);
  }

  #plot() {
    const { el, t } = this.ctx;
    this.destroy();
    clear(this.plotArea);
    this.plotBox.hidden = this.chosen === null;
    if (this.chosen === null) return;
    for (const { name, unit, series, top } of PLOTS) {
      const colours = name === "losses" ? LOSS_COLOURS : COLOURS;
      const node = el("div", { dataset: { plot: name } });
      const title = t(`detect.plot_${name}`);
      this.plotArea.append(el("figure", { class: "engine-plot" }, el("figcaption", { text: title }), node));
      const plot = timePlot(node, {
        series: series.map((one, i) => ({ name: t(`detect.figure_${one}`), colour: colours[i], fill: name === "eps" })),
        unit,
        seconds: SECONDS,
        height: 110,
        label: title,
        top,
      });
      this.plots.push({ plot, series });
    }
    this.#fillPlots();
    this.#prefill(this.chosen);
  }

  #fillPlots() {
    const points = this.history.points(this.chosen);
    for (const { plot, series } of this.plots) {
      plot.fill(points.map((point) => [point.t, ...series.map((one) => point.values[one] ?? null)]));
    }
  }

  async #prefill(id) {
    try {
      this.history.prefill(id, await this.ctx.api.get(`/detectors/${id}/history`));
    } catch {
      return; // the plots begin now
    }
    if (id === this.chosen) this.#fillPlots();
  }

  async #stop(job) {
    const { t, ask, api } = this.ctx;
    if (!(await ask(t("detect.stop_ask", { id: job.id }), { yes: t("detect.stop"), danger: true }))) return;
    await doing(api.post(`/detectors/${job.id}/stop`));
    await this.load();
  }

  async #forget(job) {
    await doing(this.ctx.api.delete(`/detectors/${job.id}`));
    await this.load();
  }

  async #swap(job) {
    const path = await askBundle(this.ctx, job);
    if (path !== null) await this.load();
  }
}

/** What a detector reads: "app.log +2 · udp 127.0.0.1:5514". */
function readsWhat(settings) {
  const parts = [];
  const [first, ...more] = settings.sources ?? [];
  if (first) parts.push(more.length ? `${visible(first)} +${more.length}` : visible(first));
  for (const kind of ["udp", "tcp", "tls"]) {
    for (const place of settings[kind] ?? []) parts.push(`${kind} ${visible(place)}`);
  }
  return parts.join(" \u00b7 ");
}

function fromResult(result) {
  return result ? figuresOf({ counters: { ...result, net_shed: result.shed, net_kernel_dropped: result.kernel_dropped }, current_eps: null }) : null;
}
