// Storms: what each does now and did over five minutes, what it is worth, and what can be done about it.

import { clear } from "../lib/dom.js";
import { bindKey } from "../lib/keys.js";
import { complain } from "../lib/notice.js";
import { makeBar } from "./storm_bar.js";
import { makeFigures } from "./storm_figures.js";
import { makeKpis } from "./storm_kpis.js";
import { makePlots } from "./storm_plots.js";
import { askSink, askStorm } from "./storm_start.js";
import { makeRuns, makeSinks } from "./storm_tables.js";
import { makeWorkers } from "./storm_workers.js";
import { sinkOf } from "./storm_words.js";

export const name = "storm";

export function mount(root, ctx) {
  const { api, feed, t, el } = ctx;
  let jobs = new Map(); // every storm and sink that the server knows, by id
  let chosen = location.hash.split("/")[1] ?? null;
  let whole = null; // the chosen one as it is when it has ended
  let known = ""; // ids and states of the last message
  let gone = false;
  let asked = 0;
  let marked = false;
  let answered = false; // until then nobody knows whether there are storms

  const doing = { choose, start, startSink, act, refresh, again };
  const bar = makeBar(ctx, doing);
  const figures = makeFigures(ctx);
  const plots = makePlots(ctx);
  const kpis = makeKpis(ctx);
  const workers = makeWorkers(ctx);
  const sinks = makeSinks(ctx, doing);
  const runs = makeRuns(ctx, doing);
  const none = el(
    "div",
    { class: "card empty", id: "no-storm", hidden: true },
    el("p", { text: t("storm.none") }),
    el("button", { class: "button primary", type: "button", text: t("storm.start"), on: { click: () => start() } }),
  );
  const view = el(
    "div",
    { class: "storm-view live", hidden: true },
    figures.node,
    el("div", { class: "storm-middle" }, plots.node, kpis.node),
    workers.node,
  );
  root.append(bar.node, none, view, el("div", { class: "storm-tables" }, sinks.node, runs.node));

  const leave = [
    feed.metrics.subscribe(take),
    feed.kpis.subscribe((message) => {
      kpis.show(message.storms.find((one) => one.id === chosen));
      runs.grade(message.storms);
    }),
    bindKey("n", () => start(), "storm.keys.start"),
    bindKey("r", () => bar.focusRate(), "storm.keys.rate"),
    bindKey("p", () => bar.press("pause"), "storm.keys.pause"),
    bindKey("s", () => bar.press("stop"), "storm.keys.stop"),
    bindKey("]", () => step(1), "storm.keys.next"),
    bindKey("[", () => step(-1), "storm.keys.previous"),
    () => plots.destroy(),
  ];
  if (feed.metrics.latest === null) refresh();

  /** A message of the feed. */
  function take(message) {
    const now = [...message.storms, ...message.sinks].map((one) => `${one.id} ${one.state}`).join();
    if (now !== known) {
      known = now;
      refresh();
    }
    show(message);
  }

  /** Asks for all jobs: a message has only those that run, and no settings. */
  async function refresh() {
    let status;
    const turn = ++asked;
    try {
      status = await api.get("/status");
    } catch (error) {
      if (error.status !== 0) complain(error);
      return;
    }
    if (gone || turn !== asked) return; // a later answer knows more
    jobs = new Map(status.jobs.map((job) => [job.id, job]));
    answered = true;
    if (!jobs.has(chosen) || jobs.get(chosen).kind !== "storm") choose(best());
    else if (!alive(jobs.get(chosen))) lookAt(chosen);
    if (feed.metrics.latest) show(feed.metrics.latest);
    runs.set(storms().filter((job) => !alive(job)).reverse());
  }

  const storms = () => [...jobs.values()].filter((job) => job.kind === "storm");
  const alive = (job) => job.state !== "done" && job.state !== "failed";
  const best = () => (storms().findLast(alive) ?? storms().at(-1))?.id ?? null;

  function choose(id) {
    if (id === chosen && whole === null && plots.of === id) return;
    chosen = id;
    whole = null;
    history.replaceState(null, "", id ? `#storm/${id}` : "#storm");
    kpis.show(feed.kpis.latest?.storms.find((one) => one.id === id));
    lookAt(id);
    if (feed.metrics.latest) show(feed.metrics.latest);
  }

  function step(by) {
    const all = storms();
    if (!all.length) return;
    const at = all.findIndex((job) => job.id === chosen);
    choose(all[(at + by + all.length) % all.length].id);
  }

  /** What is not in the feed: the last minutes, and the end of one that has ended. */
  async function lookAt(id) {
    if (id === null) return;
    const job = jobs.get(id);
    const sink = job && sinkOf(job, jobs.values());
    plots.begin(id, sink?.id ?? null);
    try {
      const [past, sinkPast, one] = await Promise.all([
        api.get(`/storms/${encodeURIComponent(id)}/history`),
        sink ? api.get(`/sinks/${encodeURIComponent(sink.id)}/history`) : null,
        job && !alive(job) ? api.get(`/storms/${encodeURIComponent(id)}`) : null,
      ]);
      if (gone || id !== chosen) return;
      plots.fill(past, sinkPast, one !== null);
      if (one === null) return;
      whole = one;
      if (feed.metrics.latest) show(feed.metrics.latest);
    } catch (error) {
      if (!gone && error.status !== 404 && error.status !== 0) complain(error);
    }
  }

  function show(message) {
    const job = jobs.get(chosen) ?? null;
    const live = message.storms.find((one) => one.id === chosen);
    const sink = job && sinkOf(job, jobs.values());
    const liveSink = sink && message.sinks.find((one) => one.id === sink.id);
    bar.show(message.storms, jobs, chosen, live);
    if (answered) sinks.show(message.sinks, jobs);
    none.hidden = !answered || job !== null || live !== undefined;
    view.hidden = job === null && live === undefined;
    if (sink && plots.sink !== sink.id && live) lookAt(chosen);
    const shown = live ?? (whole?.id === chosen ? whole.metrics : null);
    if (shown?.current_eps === undefined) return; // it has just been told to begin, or never did
    const at = Date.parse(message.time) / 1000;
    figures.show(shown, live ? liveSink : undefined, message.host, at, live !== undefined, job);
    workers.show(shown.worker_metrics ?? [], live !== undefined, chosen);
    if (live) plots.push(at, live, liveSink);
    if (!marked) performance.mark("haechi-figures"); // `haechi bench serve` asks when the first stood there
    marked = true;
  }

  function start(settings) {
    askStorm(ctx, settings ?? null, async (id) => {
      chosen = id;
      await refresh();
      choose(id);
    });
  }

  function again(job) {
    start(job.settings);
  }

  function startSink() {
    askSink(ctx, refresh);
  }

  /** A request about a job; true where it was done. */
  async function act(request) {
    try {
      await request();
    } catch (error) {
      complain(error);
      return false;
    }
    await refresh();
    return true;
  }

  return {
    unmount() {
      gone = true;
      for (const end of leave) end();
      clear(root);
    },
  };
}
