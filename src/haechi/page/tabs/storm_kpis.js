// What a storm is summed up by, and its grade.

import { el, write } from "../lib/dom.js";
import { fmt, t } from "../lib/words.js";

const PARTS = { target: 40, uptime: 30, efficiency: 30 };
const percent = (n) => fmt.percent(n === null || n === undefined ? null : n / 100);
const rate = (n) => (n === null || n === undefined ? "–" : `${fmt.rate(n)}/s`);
const ROWS = {
  target_achievement_percent: percent,
  achieved_eps: rate,
  average_eps: rate,
  peak_eps: rate,
  eps_consistency_score: (n) => fmt.number(n, 1),
  uptime_percentage: percent,
  packet_loss_rate: (n) => fmt.percent(n),
  error_rate: (n) => fmt.percent(n),
  mtbf_hours: (n) => fmt.number(n, 2),
  mttr_minutes: (n) => fmt.number(n, 2),
  cpu_efficiency: fmt.rate,
  memory_efficiency: fmt.rate,
  network_utilization: (n) => fmt.percent(n),
  linear_scalability: (n) => fmt.percent(n),
};

export function makeKpis() {
  const letter = el("b", { class: "grade", id: "grade" });
  const points = el("span", { class: "num", id: "points" });
  const bars = Object.entries(PARTS).map(([name, most]) => {
    const count = el("span", { class: "num" });
    const fill = el("i");
    return { name, most, count, fill, node: el("div", { class: "points" }, el("span", { text: t(`storm.points.${name}`) }), el("i", { class: "gauge" }, fill), count) };
  });
  const rows = Object.entries(ROWS).map(([name, say]) => {
    const value = el("dd", { class: "num", dataset: { kpi: name } });
    return { name, say, value, node: [el("dt", { text: t(`storm.kpi.${name}`), title: t(`storm.kpi_is.${name}`) }), value] };
  });
  const node = el(
    "section",
    { class: "card kpis", "aria-labelledby": "kpi-title" },
    el("h2", { text: t("storm.kpis"), id: "kpi-title" }),
    el("div", { class: "grade-row" }, el("div", { class: "grade-box" }, letter, points), el("div", { class: "grade-parts" }, bars.map((bar) => bar.node))),
    el("dl", { class: "kpi-list" }, rows.map((row) => row.node)),
  );
  return {
    node,
    /** One of the feed's, or undefined. */
    show(kpis = {}) {
      write(letter, kpis.grade ?? "–");
      letter.dataset.grade = (kpis.grade ?? "").slice(0, 1);
      write(points, kpis.points === null || kpis.points === undefined ? t("storm.no_grade") : t("storm.points_of", { n: kpis.points, most: 100 }));
      for (const { name, most, count, fill } of bars) {
        const got = kpis.points_of?.[name];
        write(count, `${got ?? "–"} / ${most}`);
        fill.style.transform = `scaleX(${(got ?? 0) / most})`;
      }
      for (const { name, say, value } of rows) write(value, say(kpis[name] ?? null));
    },
  };
}
