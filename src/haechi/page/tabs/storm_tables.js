// The sinks of this server, and the storms that have ended.

import { button, clear, el, write } from "../lib/dom.js";
import { fmt, t } from "../lib/words.js";
import { placeOf, portsText, stateBadge } from "./storm_words.js";

const LOST = ["net_shed", "net_kernel_dropped", "net_lost_elsewhere"];
const lostOf = (counters) => LOST.reduce((sum, name) => sum + (counters[name] ?? 0), 0);

function table(id, title, columns, empty) {
  const body = el("tbody");
  const head = el("tr", {}, columns.map(([name, kind]) => el("th", { scope: "col", class: kind ?? "", text: name ? t(name) : "" })));
  const wrap = el("div", { class: "table-wrap", hidden: true, tabIndex: 0, role: "region", "aria-label": title }, el("table", { class: "table", id }, el("thead", {}, head), body));
  const none = el("p", { class: "muted none", text: empty, hidden: true });
  const node = el("section", { class: "card" }, el("header", { class: "card-head" }, el("h2", { text: title })), none, wrap);
  return {
    node,
    body,
    count(n) {
      none.hidden = n > 0;
      wrap.hidden = n === 0;
    },
  };
}

const SINK_COLUMNS = [["storm.column.sink"], ["storm.column.state"], ["storm.column.ports"], ["storm.column.rate", "num"], ["storm.column.received", "num"], ["storm.column.dropped", "num"], ["storm.column.p99", "num"], [""]];

export function makeSinks({ api }, doing) {
  const { node, body, count } = table("sinks", t("storm.sinks"), SINK_COLUMNS, t("storm.no_sinks"));
  node.classList.add("live");
  let rows = new Map();

  function row(job) {
    const cells = Object.fromEntries(["rate", "received", "dropped", "p99"].map((name) => [name, el("td", { class: "num" })]));
    const state = el("td");
    const path = `/sinks/${encodeURIComponent(job.id)}`;
    const stop = button(t("storm.stop"), () => doing.act(() => api.post(`${path}/stop`)), { "aria-label": t("storm.stop_what", { id: job.id }) });
    const forget = button(t("storm.forget"), () => doing.act(() => api.delete(path)), { "aria-label": t("storm.forget_what", { id: job.id }) });
    const line = el(
      "tr",
      { dataset: { sink: job.id } },
      el("td", { text: job.id }),
      state,
      el("td", { class: "mono", text: `${portsText(job.settings)} ${(job.settings.transport ?? "udp").toUpperCase()}` }),
      cells.rate,
      cells.received,
      cells.dropped,
      cells.p99,
      el("td", { class: "row-acts" }, stop, forget),
    );
    let shown = "";
    return {
      line,
      show(figures, now) {
        if (now !== shown) state.replaceChildren(stateBadge(now));
        shown = now;
        const over = now === "done" || now === "failed";
        stop.hidden = over;
        forget.hidden = !over;
        stop.disabled = now === "stopping";
        write(cells.rate, over ? "–" : `${fmt.rate(figures.current_eps)}/s`);
        write(cells.received, fmt.rate(figures.total_events));
        write(cells.dropped, figures.counters ? fmt.count(lostOf(figures.counters)) : "–");
        write(cells.p99, fmt.micros(over ? null : figures.latency_us?.p99));
      },
    };
  }

  return {
    node,
    show(live, jobs) {
      const all = [...jobs.values()].filter((job) => job.kind === "sink").reverse();
      const ids = all.map((job) => job.id).join();
      if (ids !== [...rows.keys()].join()) {
        rows = new Map(all.map((job) => [job.id, rows.get(job.id) ?? row(job)]));
        clear(body).append(...[...rows.values()].map((one) => one.line));
      }
      for (const job of all) {
        const one = live.find(({ id }) => id === job.id);
        rows.get(job.id).show(one ?? job.metrics, one?.state ?? job.state);
      }
      count(all.length);
    },
  };
}

const RUN_COLUMNS = [["storm.column.storm"], ["storm.column.state"], ["storm.column.ended"], ["storm.column.place"], ["storm.column.average", "num"], ["storm.column.events", "num"], ["storm.column.loss", "num"], ["storm.column.grade"], [""]];

export function makeRuns({ api }, doing) {
  const { node, body, count } = table("runs", t("storm.runs"), RUN_COLUMNS, t("storm.no_runs"));
  let grades = new Map();

  function row(job) {
    const path = `/storms/${encodeURIComponent(job.id)}`;
    const { metrics } = job;
    return el(
      "tr",
      { dataset: { storm: job.id } },
      el("td", {}, button(job.id, () => doing.choose(job.id), { class: "link", "aria-label": t("storm.show_what", { id: job.id }) })),
      el("td", { title: job.error ?? "" }, stateBadge(job.state)),
      el("td", { class: "num start", text: fmt.time(job.ended) }),
      el("td", { class: "mono", text: placeOf(job.settings) }),
      el("td", { class: "num", text: metrics.average_eps === undefined ? "–" : `${fmt.rate(metrics.average_eps)}/s` }),
      el("td", { class: "num", title: fmt.count(metrics.total_events), text: fmt.rate(metrics.total_events) }),
      el("td", { class: "num", text: fmt.percent(typeof metrics.packet_loss_percent === "number" ? metrics.packet_loss_percent / 100 : null) }),
      el("td", { class: "run-grade", text: grades.get(job.id) ?? "–" }),
      el(
        "td",
        { class: "row-acts" },
        button(t("storm.again"), () => doing.again(job), { "aria-label": t("storm.again_what", { id: job.id }) }),
        button(t("storm.forget"), () => doing.act(() => api.delete(path)), { "aria-label": t("storm.forget_what", { id: job.id }) }),
      ),
    );
  }

  return {
    node,
    /** Those that have ended, the newest first. */
    set(jobs) {
      clear(body).append(...jobs.map(row));
      count(jobs.length);
    },
    grade(storms) {
      grades = new Map(storms.map((one) => [one.id, one.grade ?? "–"]));
      for (const line of body.children) write(line.querySelector(".run-grade"), grades.get(line.dataset.storm) ?? "–");
    },
  };
}
