// The figures of the last second, large.

import { el, write } from "../lib/dom.js";
import { fmt, t } from "../lib/words.js";

const CELLS = ["rate", "loss", "latency", "cpu", "memory", "network", "events"];

export function makeFigures() {
  const cells = Object.fromEntries(CELLS.map((name) => [name, cell(name)]));
  const node = el("section", { class: "card figures", "aria-label": t("storm.figures") }, CELLS.map((name) => cells[name].node));
  let before = null; // of the counters that only grow

  function speed(id, shown, at, live) {
    const now = { id, at, bytes: shown.network_tx_bytes, packets: shown.network_packets };
    if (!live) {
      const seconds = shown.average_eps ? shown.total_events / shown.average_eps : 0;
      return seconds ? { bytes: now.bytes / seconds, packets: now.packets / seconds } : null;
    }
    const old = before;
    if (old?.at !== at) before = now;
    if (!old || old.id !== id || at - old.at < 0.2 || at - old.at > 10) return speedNow?.id === id ? speedNow : null;
    const per = (what) => Math.max(0, now[what] - old[what]) / (at - old.at);
    speedNow = { id, bytes: per("bytes"), packets: per("packets") };
    return speedNow;
  }
  let speedNow = null;

  return {
    node,
    /** shown: a storm's figures; sink: those of the sink it goes to; live: whether they are of now. */
    show(shown, sink, host, at, live, job) {
      const rate = live ? shown.current_eps : shown.average_eps;
      const ratio = shown.target_eps ? rate / shown.target_eps : null;
      const { rate: one, loss, latency, cpu, memory, network, events } = cells;
      write(one.label, t(live ? "storm.rate" : "storm.rate_average"));
      one.set(`${fmt.rate(rate)}`, t("storm.per_second"), shown.target_eps ? t("storm.of_target", { target: fmt.rate(shown.target_eps), percent: fmt.percent(ratio, 1) }) : t("storm.no_target"));
      one.fill(ratio);
      one.mark(live && ratio !== null && !shown.paused ? (ratio < 0.9 ? "bad" : ratio < 0.95 ? "warn" : "") : "");
      const lost = shown.packet_loss_percent;
      loss.set(lost === null || lost === undefined ? "–" : fmt.percent(lost / 100), "", lost === null || lost === undefined ? t("storm.loss_unknown") : t("storm.errors", { ratio: fmt.percent(shown.error_rate) }));
      loss.mark(lost > 0.5 ? "bad" : lost > 0.1 ? "warn" : "");
      const times = sink?.latency_us;
      latency.set(times ? fmt.micros(times.p99) : "–", "", times ? t("storm.quantiles", { p50: fmt.micros(times.p50), p95: fmt.micros(times.p95) }) : live ? t("storm.latency_unknown") : "");
      latency.value.title = times ? t("storm.longest", { max: fmt.micros(times.max) }) : "";
      cpu.set(live ? fmt.percent(shown.cpu_usage / 100, 0) : "–", t("storm.of_core"), live ? t("storm.host_cpu", { percent: fmt.percent((host.cpu_percent ?? 0) / 100, 0) }) : "");
      memory.set(fmt.bytes(shown.memory_usage_bytes), "", live ? t("storm.host_memory", { used: fmt.bytes(host.memory_used_bytes), total: fmt.bytes(host.memory_total_bytes) }) : "");
      const moved = speed(job?.id, shown, at, live);
      network.set(moved ? fmt.bytes(moved.bytes) : "–", t("storm.per_second"), moved ? t("storm.packets", { rate: fmt.rate(moved.packets) }) : "");
      events.set(fmt.rate(shown.total_events), "", t("storm.uptime", { time: fmt.seconds(Math.floor(shown.uptime_seconds ?? 0)) }));
      events.value.title = fmt.count(shown.total_events);
    },
  };
}

function cell(name) {
  const label = el("h3", { text: t(`storm.${name}`) });
  const value = el("b", { class: "num figure", id: `figure-${name}` });
  const unit = el("span", { class: "unit" });
  const under = el("small", { class: "muted under" });
  const bar = name === "rate" ? el("i", { class: "gauge" }, el("i")) : null;
  const node = el("div", { class: "figure-cell", dataset: { figure: name } }, label, el("div", { class: "figure-line" }, value, unit), bar, under);
  return {
    node,
    label,
    value,
    set(text, sign, below) {
      write(value, text);
      write(unit, text === "–" ? "" : sign);
      write(under, below);
    },
    fill(ratio) {
      bar.hidden = ratio === null;
      bar.firstElementChild.style.transform = `scaleX(${Math.min(1, Math.max(0, ratio ?? 0))})`;
    },
    mark(kind) {
      node.dataset.mark = kind;
    },
  };
}
