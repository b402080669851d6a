// The Detect tab: detectors above; below them their alerts, one of them whole at the side, or what their lines are
// made of.

import { write } from "../lib/dom.js";
import { bindKey } from "../lib/keys.js";
import { AlertStore } from "./detect_alerts.js";
import { AlertDetail, askMute, doing } from "./detect_detail.js";
import { Engines } from "./detect_engines.js";
import { IncidentDetail } from "./detect_incident.js";
import { Incidents } from "./detect_incidents.js";
import { AlertList } from "./detect_list.js";
import { Mutes } from "./detect_mutes.js";
import { Templates } from "./detect_templates.js";

export const name = "detect";

const SEVERITIES = ["critical", "high", "medium", "low"];
let store = null; // outlives the tab: 10,000 alerts are not fetched again for a look at another one

export function mount(root, ctx) {
  const tab = new Detect(ctx);
  root.classList.add("detect");
  root.append(tab.node);
  tab.start();
  return { unmount: () => tab.end() };
}

class Detect {
  constructor(ctx) {
    this.ctx = ctx;
    store ??= new AlertStore(ctx.api);
    this.view = "alerts";
    this.detail = new AlertDetail(ctx, store, {
      close: () => this.close(),
      only: (session) => this.list.only(session),
    });
    this.list = new AlertList(ctx, store, (item) => this.open(item));
    this.incidents = new Incidents(ctx, {
      open: (one) => this.openIncident(one),
      drawn: (items) => this.incident.update(items),
    });
    this.incident = new IncidentDetail(ctx, {
      close: () => this.close(),
      alert: (item) => this.openOfIncident(item),
      only: (session) => {
        this.#look("alerts");
        this.list.only(session);
      },
      changed: () => this.incidents.load(),
    });
    this.from = null; // the incident that the alert at the side was opened from
    this.templates = new Templates(ctx);
    this.mutes = new Mutes(ctx, store);
    this.engines = new Engines(ctx, (id) => this.templates.choose(id));
    this.#build();
  }

  start() {
    this.ends = [
      this.ctx.feed.metrics.subscribe((message) => this.#take(message)),
      store.subscribe(() => this.#changed()),
      ...this.#keys(),
    ];
    this.engines.load();
    store.start();
    this.#changed();
  }

  end() {
    for (const end of this.ends) end();
    store.stop();
    this.incidents.stop();
    this.list.destroy();
    this.templates.stop();
    this.engines.destroy();
  }

  openIncident(one) {
    this.from = null;
    this.detail.hide();
    this.incidents.mark(one.id);
    this.incident.show(one);
    this.below.classList.add("has-detail");
  }

  /** The alert takes the incident's place at the side, until it is closed. */
  openOfIncident(item) {
    this.from = this.incident.one;
    this.incident.hide();
    this.detail.show(store.get(item.number) ?? item);
    this.detail.node.focus({ preventScroll: true });
  }

  open(item) {
    if (!item) return;
    this.list.mark(item.number);
    this.detail.show(item);
    this.below.classList.add("has-detail");
  }

  close() {
    if (this.from !== null) {
      this.openIncident(this.from);
      this.incident.node.focus({ preventScroll: true });
      return;
    }
    if (this.view === "incidents") this.incidents.mark(null);
    const was = this.detail.node.contains(document.activeElement);
    this.detail.hide();
    this.incident.hide();
    this.below.classList.remove("has-detail");
    if (was) this.list.scroller.focus({ preventScroll: true });
  }

  #build() {
    const { el, t } = this.ctx;
    const view = (id) =>
      el("button", {
        type: "button",
        role: "tab",
        class: "subtab",
        id: `detect-${id}`,
        "aria-controls": `detect-panel-${id}`,
        text: t(`detect.${id}`),
        on: { click: () => this.#look(id) },
      });
    this.views = Object.fromEntries(["incidents", "alerts", "templates", "mutes"].map((id) => [id, view(id)]));
    const strip = el("div", { class: "subtabs", role: "tablist", "aria-label": t("detect.views") }, ...Object.values(this.views));
    strip.addEventListener("keydown", (event) => this.#move(event));
    this.counts = Object.fromEntries(
      SEVERITIES.map((severity) => [severity, el("b", { class: "num", dataset: { count: severity }, text: "0" })]),
    );
    const counts = el(
      "div",
      { class: "alert-counts", "aria-label": t("detect.counts") },
      ...SEVERITIES.map((severity) =>
        el("span", { dataset: { severity } }, el("i", {}), el("span", { text: t(`detect.severity_${severity}`) }), this.counts[severity]),
      ),
    );
    const panel = (id, ...children) =>
      el("div", { role: "tabpanel", id: `detect-panel-${id}`, "aria-labelledby": `detect-${id}`, hidden: id !== "alerts" }, ...children);
    this.panels = {
      incidents: panel("incidents", this.incidents.node),
      alerts: panel("alerts", this.list.node),
      templates: panel("templates", this.templates.node),
      mutes: panel("mutes", this.mutes.node),
    };
    this.below = el(
      "div",
      { class: "detect-below" },
      el(
        "section",
        { class: "card detect-main" },
        el(
          "header",
          { class: "card-head" },
          strip,
          counts,
        ),
        ...Object.values(this.panels),
      ),
      this.detail.node,
      this.incident.node,
    );
    this.list.scroller.addEventListener("keydown", (event) => this.#listKey(event));
    this.below.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || (this.detail.item === null && this.incident.one === null) || event.target.closest("input")) return;
      event.preventDefault();
      this.close();
    });
    this.node = el("div", { class: "detect-page" }, this.engines.node, this.below);
    this.#look("alerts");
  }

  #look(id) {
    if (this.view === "templates" && id !== "templates") this.templates.stop();
    if (this.view === "incidents" && id !== "incidents") this.incidents.stop();
    this.from = null;
    if (this.view !== id) this.close();
    this.view = id;
    for (const [other, panel] of Object.entries(this.panels)) {
      panel.hidden = other !== id;
      this.views[other].setAttribute("aria-selected", String(other === id));
      this.views[other].tabIndex = other === id ? 0 : -1;
    }
    if (id === "templates" && this.templates.timer === null) this.templates.start();
    if (id === "incidents" && !this.incidents.running) this.incidents.start();
    if (id === "mutes") this.mutes.load();
    if (id === "alerts") this.list.update();
  }

  #move(event) {
    const names = Object.keys(this.views);
    const at = names.indexOf(this.view);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: names.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const next = names[(to + names.length) % names.length];
    this.#look(next);
    this.views[next].focus();
  }

  #take(message) {
    this.engines.take(message);
    store.poke(message.alerts);
    this.incidents.poke(message);
  }

  #changed() {
    const { fmt } = this.ctx;
    for (const severity of SEVERITIES) write(this.counts[severity], fmt.count(store.counts[severity] ?? 0));
    this.detail.update();
    if (this.view === "mutes") this.mutes.draw();
  }

  #keys() {
    const onAlerts = (act) => () => {
      if (this.view === "alerts") act();
    };
    const current = (act) =>
      onAlerts(() => {
        const item = this.list.current();
        if (item) act(item);
      });
    return [
      bindKey("j", onAlerts(() => this.#step(1)), "detect.key_next"),
      bindKey("k", onAlerts(() => this.#step(-1)), "detect.key_before"),
      bindKey("a", current((item) => doing(store.acknowledge(item))), "detect.key_acknowledge"),
      bindKey("m", current((item) => askMute(this.ctx, store, item)), "detect.key_mute"),
      bindKey("u", current((item) => doing(store.unmute(item))), "detect.key_unmute"),
      bindKey("p", onAlerts(() => this.list.pause()), "detect.key_pause"),
      bindKey("/", () => (this.view === "templates" ? this.templates.query.focus() : this.list.search()), "detect.key_search"),
    ];
  }

  /** In the list, as in every list. */
  #listKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.list.scroller.clientHeight / this.list.rowHeight) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
    if (steps !== undefined) {
      event.preventDefault();
      this.#step(steps);
    } else if (event.key === "Enter" && this.list.current()) {
      event.preventDefault();
      this.open(this.list.current());
      this.detail.node.focus({ preventScroll: true });
    }
  }

  /** With the panel open, it follows. */
  #step(steps) {
    this.list.move(steps);
    if (!this.below.contains(document.activeElement)) this.list.scroller.focus({ preventScroll: true });
    if (this.detail.item !== null) this.open(this.list.current());
  }
}
