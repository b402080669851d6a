// Five minutes of a storm, second by second.

import { el } from "../lib/dom.js";
import { timePlot } from "../lib/plot.js";
import { t } from "../lib/words.js";

const SECONDS = 300;
const SOON_S = 0.5; // a row that is nearer to the last one is the same second, told twice

export function makePlots() {
  const made = {
    rate: box("rate", 236, { unit: "eps", series: [line("rate", "--accent", { fill: true }), line("target", "--muted", { dash: "dash", shape: "hv" })] }),
    loss: box("loss", 112, { unit: "percent", top: 0.01, series: [line("loss", "--bad", { fill: true })] }),
    latency: box("latency", 112, { unit: "us", top: 100, series: [line("p50", "--accent"), line("p99", "--warn")] }),
    cpu: box("cpu", 112, { unit: "percent", top: 10, series: [line("cpu", "--good", { fill: true })] }),
    memory: box("memory", 112, { unit: "bytes", top: 1e7, series: [line("memory", "--good", { fill: true })] }),
    network: box("network", 112, { unit: "bytes/s", series: [line("network", "--accent", { fill: true })] }),
  };
  const { rate, ...small } = made;
  const node = el("div", { class: "plots" }, rate.node, el("div", { class: "plots-small" }, Object.values(small).map((one) => one.node)));
  const all = Object.values(made).map((one) => one.plot);
  let last = 0;
  let bytes = null; // and when
  let filled = false;

  return {
    node,
    of: null,
    sink: null,
    /** The plots will be of these. */
    begin(storm, sink) {
      if (this.of !== storm) {
        for (const plot of all) plot.fill([]);
        last = 0;
        bytes = null;
        filled = false;
      }
      this.of = storm;
      this.sink = sink;
    },
    /** Histories as the API gives them; `over`: the storm has ended, and the sink may have gone on. */
    fill(storm, sink, over) {
      const { rows } = storm;
      last = rows.at(-1)?.[0] ?? 0;
      filled = true;
      made.rate.plot.fill(rows.map(([at, target, eps]) => [at, eps, target]));
      made.loss.plot.fill(rows.map((row) => [row[0], row[3]]));
      made.cpu.plot.fill(rows.map((row) => [row[0], row[4]]));
      made.memory.plot.fill(rows.map((row) => [row[0], row[5]]));
      made.network.plot.fill(rows.map((row) => [row[0], row[6]]));
      const began = rows[0]?.[0] ?? 0;
      const until = over ? last + 1 : Infinity;
      made.latency.plot.fill((sink?.rows ?? []).filter(([at]) => at >= began - 1 && at <= until).map((row) => [row[0], row[4], row[5]]));
    },
    push(at, storm, sink) {
      if (!filled || at - last < SOON_S) return;
      const sent = bytes && at > bytes.at ? Math.max(0, storm.network_tx_bytes - bytes.sent) / (at - bytes.at) : null;
      bytes = { at, sent: storm.network_tx_bytes };
      last = at;
      made.rate.plot.push(at, [storm.current_eps, storm.target_eps]);
      made.loss.plot.push(at, [storm.packet_loss_percent]);
      made.cpu.plot.push(at, [storm.cpu_usage]);
      made.memory.plot.push(at, [storm.memory_usage_bytes]);
      if (sent !== null) made.network.plot.push(at, [sent]);
      made.latency.plot.push(at, [sink?.latency_us?.p50 ?? null, sink?.latency_us?.p99 ?? null]);
    },
    destroy() {
      for (const plot of all) plot.destroy();
    },
  };
}

function line(name, colour, more = {}) {
  return { name: t(`storm.line.${name}`), colour, ...more };
}

function box(name, height, settings) {
  const title = t(`storm.plot.${name}`);
  const place = el("div");
  const node = el("figure", { class: "card plot-card", dataset: { plot: name } }, el("figcaption", {}, el("h3", { text: title })), place);
  return { node, plot: timePlot(place, { seconds: SECONDS, height, label: title, ...settings }) };
}
