// The Trials tab: the run in progress, scenarios, past runs; or one report; or two runs compared. Which of them stands
// in the address: #trials, #trials/trial-3, #trials/trial-3/trial-4.

import { Compare } from "./trials_compare.js";
import { Past } from "./trials_past.js";
import { Report } from "./trials_report.js";
import { Run } from "./trials_run.js";
import { Scenarios } from "./trials_scenarios.js";

export const name = "trials";

const ID = /^trial-[1-9]\d*$/;

export function mount(root, ctx) {
  const tab = new Trials(ctx);
  root.classList.add("trials");
  root.append(tab.node);
  tab.start();
  return { unmount: () => tab.end() };
}

class Trials {
  constructor(ctx) {
    const { el, t, notice } = ctx;
    this.ctx = ctx;
    this.run = new Run(ctx, (trial) => {
      const word = trial.passed === null ? `state.${trial.state}` : trial.passed ? "result.met" : "result.missed";
      notice(`${trial.id}: ${t(`trials.${word}`)}`, trial.passed ? "good" : "warn");
      this.scenarios.setBusy(false);
      this.past.load();
    });
    this.scenarios = new Scenarios(ctx, (trial) => {
      this.scenarios.setBusy(true);
      this.run.take([trial]);
      this.run.node.scrollIntoView?.({ block: "nearest" });
    });
    this.past = new Past(ctx, {
      open: (id) => this.#go(id),
      compare: (a, b) => this.#go(`${a}/${b}`),
    });
    const back = () => this.#go("");
    this.report = new Report(ctx, back);
    this.compare = new Compare(ctx, back);
    this.overview = el("div", { class: "trials-page" }, this.run.node, this.scenarios.node, this.past.node);
    this.node = el("div", { class: "trials-views" });
    this.shown = null;
  }

  start() {
    this.unsubscribe = this.ctx.feed.metrics.subscribe(({ trials }) => {
      this.scenarios.setBusy((trials ?? []).length > 0);
      this.run.take(trials);
    });
    this.onHash = () => this.#look();
    addEventListener("hashchange", this.onHash);
    this.#look();
  }

  end() {
    this.unsubscribe();
    removeEventListener("hashchange", this.onHash);
    this.run.destroy();
    this.report.destroy();
  }

  #go(place) {
    location.hash = place ? `trials/${place}` : "trials";
  }

  #look() {
    const [tab, a, b] = location.hash.slice(1).split("/");
    if (tab !== name) return;
    const places = [a, b].filter((one) => ID.test(one ?? ""));
    const view = places.length === 2 ? this.compare : places.length === 1 ? this.report : null;
    const stamp = places.join();
    if (this.shown === stamp) return;
    const first = this.shown === null;
    this.shown = stamp;
    if (view === null) {
      this.node.replaceChildren(this.overview);
      this.scenarios.load();
      this.past.load();
      return;
    }
    this.node.replaceChildren(view.node);
    view.show(...places);
    if (!first) scrollTo(0, 0);
  }
}
