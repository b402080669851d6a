// One report, whole, out of its report.json.

import { button } from "../lib/dom.js";
import { has } from "../lib/words.js";
import { saying, sentence } from "./detect_errors.js";
import { visible } from "./detect_text.js";
import { Chart } from "./trials_chart.js";
import { criteriaList } from "./trials_criteria.js";
import { figure, figureWord, planned } from "./trials_figures.js";

const STATES = { met: "good", missed: "bad", interrupted: "warn", failed: "failed" };
const STEP_FIGURES = ["offered_eps", "achieved_eps", "loss_ratio", "latency_p99", "cpu"];
const SCORES = ["precision", "recall", "f1"];

export class Report {
  constructor(ctx, back) {
    this.ctx = ctx;
    this.back = back;
    this.charts = [];
    this.node = ctx.el("div", { class: "report" });
  }

  destroy() {
    for (const chart of this.charts) chart.destroy();
    this.charts = [];
  }

  async show(id) {
    const { el, t, api } = this.ctx;
    this.destroy();
    this.node.replaceChildren(el("p", { class: "muted", text: t("trials.loading") }));
    try {
      this.#draw(id, await api.get(`/trials/${id}/report.json`));
    } catch (error) {
      const wrong = saying(el);
      this.node.replaceChildren(el("section", { class: "card" }, this.#head(id, null), wrong.node));
      wrong.say(sentence(error, t));
    }
  }

  #draw(id, report) {
    this.node.replaceChildren(
      this.#summary(id, report),
      ...[this.#plots(report), this.#steps(report), this.#search(report)].filter(Boolean),
      this.ctx.el("div", { class: "report-columns" }, [
        this.#kpis(report),
        this.#grade(report),
        this.#account(report),
        this.#detection(report),
        this.#host(report),
      ]),
    );
  }

  #head(id, report) {
    const { el, t } = this.ctx;
    return el(
      "header",
      { class: "card-head" },
      button(t("trials.back"), () => this.back(), { class: "quiet", dataset: { act: "back" } }),
      el("h2", { text: report ? `${visible(report.name)} \u00b7 ${id}` : id }),
      report ? el("span", { class: "badge", dataset: { kind: STATES[report.state] }, text: t(`trials.report.${report.state}`) }) : null,
      report
        ? el(
            "div",
            { class: "toolbar downloads" },
            ["html", "json", "md"].map((kind) =>
              el("a", { class: "button", href: `/trials/${id}/report.${kind}`, download: `${id}.${kind}`, text: kind.toUpperCase(), title: t(`trials.download_${kind}`) }),
            ),
          )
        : null,
    );
  }

  #summary(id, report) {
    const { el, t, fmt } = this.ctx;
    const { scale, target, figures } = report;
    const scaled = [scale.time !== 1 && t("trials.times", { n: scale.time }), scale.rate !== 1 && t("trials.rates", { n: scale.rate })];
    const tiles = [
      ["grade", report.grade.letter ?? "\u2013"],
      ["achieved_eps", figure("achieved_eps", figures.achieved_eps, fmt)],
      ["loss_ratio", figure("loss_ratio", report.account.loss_ratio, fmt)],
      ["latency_p99", figure("latency_p99", figures.latency_p99, fmt)],
      ["f1", report.detection ? figure("f1", report.detection.f1, fmt) : null],
      ["ndr_eps", report.search ? figure("ndr_eps", figures.ndr_eps, fmt) : null],
      ["pdr_eps", report.search ? figure("pdr_eps", figures.pdr_eps, fmt) : null],
      ["seconds", fmt.seconds(report.seconds)],
    ].filter(([, text]) => text !== null);
    return el(
      "section",
      { class: "card report-summary" },
      this.#head(id, report),
      el("p", { class: "muted", text: visible(report.description) }),
      el("p", { class: "muted", text: [fmt.time(report.began), t(`trials.target.${target.kind}`), `${target.transport} ${target.ports}`, ...scaled].filter(Boolean).join(" \u00b7 ") }),
      report.failure ? el("p", { class: "wrong", role: "alert", text: visible(report.failure) }) : null,
      el(
        "dl",
        { class: "report-tiles" },
        tiles.map(([name, text]) => el("div", { dataset: { tile: name } }, el("dt", { text: figureWord(name, t) }), el("dd", { class: "num", text }))),
      ),
      el(
        "div",
        { class: "report-said" },
        report.criteria.length ? el("div", {}, el("h3", { text: t("trials.of_whole") }), criteriaList(report.criteria, t, fmt)) : null,
        this.#advice(report),
      ),
    );
  }

  #advice(report) {
    const { el, t } = this.ctx;
    if (!report.recommendations.length) return null;
    const gist = ({ rule }) => (has(`trials.advice.${rule}`) ? t(`trials.advice.${rule}`) : "");
    return el(
      "div",
      {},
      el("h3", { text: t("trials.recommendations") }),
      el(
        "ul",
        { class: "advice" },
        report.recommendations.map((one) => el("li", {}, gist(one) ? el("b", { text: gist(one) }) : null, el("span", { class: gist(one) ? "muted" : "", text: visible(one.text) }))),
      ),
    );
  }

  #plots(report) {
    const { el, t, fmt } = this.ctx;
    const of = report.series;
    if (!of.at_s?.length) return null;
    const bands = report.steps.filter((step) => step.reached).map((step) => ({ name: step.name, from: step.begins_s, to: step.begins_s + step.seconds }));
    const rate = (value) => `${fmt.rate(value)}/s`;
    const plots = [
      ["rate", rate, 0, [["target", "offered_eps", "target"], ["sent", "sent_eps", "a"], ["received", "received_eps", "b"]]],
      ["loss", fmt.percent, 0.001, [["loss", "loss_ratio", "bad"]]],
      ["latency", fmt.seconds, 0.0001, [["p50", "latency_p50_s", "a"], ["p95", "latency_p95_s", "b"], ["p99", "latency_p99_s", "c"]]],
      ["cores", (value) => fmt.number(value), 0.1, [["storm", "storm_cores", "a"], ["target_tool", "target_cores", "b"]]],
      ["memory", fmt.bytes, 1e6, [["storm", "storm_memory_bytes", "a"], ["target_tool", "target_memory_bytes", "b"]]],
    ];
    const known = (column) => of[column]?.some((value) => value !== null);
    for (const [name, write, least, lines] of plots) {
      const shown = lines.filter(([, column]) => known(column));
      if (!shown.length) continue;
      const chart = new Chart({
        title: t(`trials.plot.${name}`),
        series: shown.map(([word, , kind]) => ({ name: t(`trials.series.${word}`), kind })),
        write,
        least,
        height: name === "rate" ? 170 : 130,
      });
      chart.node.dataset.plot = name;
      chart.set({ rows: of.at_s.map((at, i) => [at, ...shown.map(([, column]) => of[column][i])]), bands });
      this.charts.push(chart);
    }
    return el("section", { class: "card report-plots" }, this.charts.map((chart) => chart.node));
  }

  #steps(report) {
    const { el, t, fmt } = this.ctx;
    if (!report.steps.length) return null;
    return el(
      "section",
      { class: "card" },
      el("h2", { text: t("trials.steps") }),
      el(
        "div",
        { class: "table-wrap" },
        el(
          "table",
          { class: "table steps-table" },
          el(
            "thead",
            {},
            el("tr", {}, el("th", { text: t("trials.column.step") }), el("th", { class: "num", text: t("trials.column.time") }), STEP_FIGURES.map((name) => el("th", { class: "num", text: figureWord(name, t) })), el("th", { text: t("trials.criteria") })),
          ),
          el(
            "tbody",
            {},
            report.steps.map((step) =>
              el(
                "tr",
                {},
                el("td", {}, el("b", { text: visible(step.name) }), step.reached ? (step.ended ? null : el("span", { class: "muted", text: ` ${t("trials.broken_off")}` })) : el("span", { class: "muted", text: ` ${t("trials.not_reached")}` })),
                el("td", { class: "num", dataset: { label: t("trials.column.time") }, text: planned(step.duration, t, fmt) }),
                STEP_FIGURES.map((name) =>
                  el("td", { class: "num", dataset: { label: figureWord(name, t) }, text: figure(name, step.figures[name], fmt) }),
                ),
                el("td", {}, criteriaList(step.criteria, t, fmt)),
              ),
            ),
          ),
        ),
      ),
    );
  }

  #search(report) {
    const { el, t, fmt } = this.ctx;
    const { search } = report;
    if (!search) return null;
    const results = ["ndr", "pdr"].map((name) => {
      const of = search[name];
      const text = of
        ? t("trials.search_result", {
            rate: `${fmt.rate(of.eps)}/s`,
            passed: of.passed,
            trials: of.trials,
            allowed: fmt.percent(of.loss_allowed),
            probability: fmt.percent(of.pass_probability_at_least),
            confidence: fmt.percent(of.confidence),
          })
        : t(search.complete ? "trials.search_none" : "trials.search_unfinished");
      return [el("dt", { text: name.toUpperCase() }), el("dd", { text: of?.at_least ? `${t("trials.at_least")} ${text}` : text })];
    });
    return el(
      "section",
      { class: "card" },
      el("h2", { text: t("trials.search") }),
      el("dl", { class: "facts" }, results),
      el(
        "div",
        { class: "table-wrap" },
        el(
          "table",
          { class: "table" },
          el("thead", {}, el("tr", {}, ["offered_eps", "achieved_eps", "sent", "lost", "loss_ratio"].map((name) => el("th", { class: "num", text: figureWord(name, t) })))),
          el(
            "tbody",
            {},
            search.attempts.map((one) =>
              el(
                "tr",
                {},
                [["offered_eps", one.eps], ["achieved_eps", one.sent_eps], ["sent", one.sent], ["lost", one.lost], ["loss_ratio", one.loss_ratio]].map(([name, value]) => el("td", { class: "num", text: figure(name, value, fmt) })),
              ),
            ),
          ),
        ),
      ),
    );
  }

  #kpis(report) {
    const rows = Object.entries(report.kpis).filter(([, value]) => value !== null);
    return rows.length ? this.#facts("kpis", rows.map(([name, value]) => [figureWord(name, this.ctx.t), figure(name, value, this.ctx.fmt)])) : null;
  }

  #grade(report) {
    const { t, fmt } = this.ctx;
    const { grade } = report;
    const of = (points, most) => (points === null ? "\u2013" : t("trials.points_of", { n: fmt.count(points), most }));
    return this.#facts("grade", [
      [t("trials.grade_target"), of(grade.target, 40)],
      [t("trials.grade_uptime"), of(grade.uptime, 30)],
      [t("trials.grade_efficiency"), of(grade.efficiency, 30)],
      [t("trials.grade_points"), grade.points === null ? "\u2013" : `${of(grade.points, 100)} \u00b7 ${grade.letter ?? "\u2013"}`],
    ]);
  }

  #account(report) {
    const { t, fmt } = this.ctx;
    const { account } = report;
    const names = ["sent", "received", "lost", "shed", "kernel_dropped", "lost_elsewhere"];
    const rows = names.filter((name) => (account[name] ?? null) !== null).map((name) => [t(`trials.account.${name}`), fmt.count(account[name])]);
    const closed = account.closed === null ? "none" : account.closed ? "closed" : "open";
    return this.#facts("account", [...rows, [t("trials.account.state"), t(`trials.account.${closed}`)]]);
  }

  #detection(report) {
    const { t, fmt } = this.ctx;
    const { detection } = report;
    if (!detection) return null;
    const rows = SCORES.map((name) => [figureWord(name, t), fmt.percent(detection[name])]);
    rows.push([t("trials.episodes"), t("trials.found_of", { n: fmt.count(detection.found), all: fmt.count(detection.episodes) })]);
    rows.push([t("trials.alerts"), fmt.count(detection.alerts)], [t("trials.false_sessions"), fmt.count(detection.false_sessions)]);
    for (const [kind, of] of Object.entries(detection.kinds)) rows.push([kind, t("trials.found_of", { n: fmt.count(of.found), all: fmt.count(of.episodes) })]);
    return this.#facts("detection", rows);
  }

  #host(report) {
    const rows = Object.entries(report.host).map(([name, value]) => [name, visible(String(value))]);
    return this.#facts("host", [...rows, ["haechi", report.haechi]]);
  }

  #facts(name, rows) {
    const { el, t } = this.ctx;
    return el(
      "section",
      { class: "card", dataset: { of: name } },
      el("h2", { text: t(`trials.${name}`) }),
      el("dl", { class: "facts" }, rows.flatMap(([what, text]) => [el("dt", { text: what }), el("dd", { class: "num", text })])),
    );
  }
}
