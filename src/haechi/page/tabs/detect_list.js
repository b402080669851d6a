// The list of alerts: filters above, rows below of which only those in sight exist, and a row that is chosen.

import { virtualList } from "../lib/virtual.js";
import { passes } from "./detect_alerts.js";
import { sentence } from "./detect_errors.js";
import { head, lineOf, moment, visible } from "./detect_text.js";
import { expectedWord, severityWord, why } from "./detect_words.js";

const NARROW = "(max-width: 760px)";
const ROW = 52;
const ROW_NARROW = 98;
const LINE_LETTERS = 400;
const WAIT_MS = 120; // after a letter was typed

export class AlertList {
  /** choose(item): it was asked to be shown whole. */
  constructor(ctx, store, choose) {
    this.ctx = ctx;
    this.store = store;
    this.choose = choose;
    this.wanted = {};
    this.paused = false;
    this.frozen = [];
    this.shown = [];
    this.chosen = null;
    this.narrow = window.matchMedia(NARROW);
    this.#build();
    this.unsubscribe = store.subscribe(() => this.update());
    this.onNarrow = () => this.#makeRows();
    this.narrow.addEventListener("change", this.onNarrow);
    this.#makeRows();
  }

  destroy() {
    clearTimeout(this.waiting);
    this.unsubscribe();
    this.narrow.removeEventListener("change", this.onNarrow);
    this.rows.destroy?.();
  }

  /** As the store and the filter have it now; while paused as they were. */
  update() {
    const { store } = this;
    const all = this.paused ? this.frozen : store.items;
    this.shown = all.filter((item) => passes(item, this.wanted));
    this.rows.set(this.shown);
    this.decorateAll();
    this.#say(all);
    this.#options(all);
  }

  pause(on = !this.paused) {
    this.paused = on;
    this.frozen = this.store.items;
    const { t } = this.ctx;
    this.pauseButton.setAttribute("aria-pressed", String(on));
    this.pauseButton.textContent = t(on ? "detect.resume" : "detect.pause");
    this.update();
  }

  /** Only those of one session. */
  only(session) {
    this.fields.session.value = session;
    this.#read();
  }

  search() {
    this.fields.text.focus();
    this.fields.text.select();
  }

  /** The next or an earlier one; the list scrolls where it has to. */
  move(steps) {
    if (this.shown.length === 0) {
      return;
    }
    const at = this.shown.findIndex((item) => item.number === this.chosen);
    const to = at < 0 ? 0 : Math.min(this.shown.length - 1, Math.max(0, at + steps));
    this.mark(this.shown[to].number);
    this.#show(to);
  }

  current() {
    return this.shown.find((item) => item.number === this.chosen) ?? null;
  }

  mark(number) {
    this.chosen = number;
    this.decorateAll();
  }

  decorateAll() {
    for (const row of this.scroller.querySelectorAll("[data-number]")) {
      const item = this.store.get(Number(row.dataset.number));
      if (item !== null) {
        this.#decorate(row, item);
      }
    }
    const row = this.scroller.querySelector('[aria-selected="true"]');
    if (row === null) {
      this.scroller.removeAttribute("aria-activedescendant");
    } else {
      this.scroller.setAttribute("aria-activedescendant", row.id);
    }
  }

  #build() {
    const { el, t } = this.ctx;
    const read = () => this.#read();
    const typed = () => {
      clearTimeout(this.waiting);
      this.waiting = setTimeout(read, WAIT_MS);
    };
    const select = (name, options) =>
      el(
        "select",
        { name, "aria-label": t(`detect.filter_${name}`), on: { change: read } },
        ...options.map(([value, text]) => el("option", { value, text })),
      );
    const input = (name) =>
      el("input", {
        type: "search",
        name,
        placeholder: t(`detect.filter_${name}`),
        "aria-label": t(`detect.filter_${name}`),
        autocomplete: "off",
        spellcheck: "false",
        maxlength: "200",
        on: { input: typed },
      });
    const severities = ["low", "medium", "high", "critical"];
    this.fields = {
      text: input("text"),
      severity: select("severity", [
        ["", t("detect.any_severity")],
        ...severities.slice(1, 3).map((one) => [one, t("detect.at_least", { severity: severityWord(one, t) })]),
        ["critical", severityWord("critical", t)],
      ]),
      detector: select("detector", [["", t("detect.any_detector")]]),
      job: select("job", [["", t("detect.any_job")]]),
      session: input("session"),
      state: select("state", [
        ["", t("detect.any_state")],
        ["open", t("detect.state_open")],
        ["done", t("detect.state_done")],
      ]),
    };
    this.pauseButton = el("button", {
      type: "button",
      class: "button",
      "aria-pressed": "false",
      text: t("detect.pause"),
      on: { click: () => this.pause() },
    });
    this.fresh = el("button", {
      type: "button",
      class: "button primary alerts-fresh",
      hidden: true,
      on: { click: () => this.pause(false) },
    });
    this.said = el("p", { class: "alerts-said", "aria-live": "off" });
    this.scroller = el("div", {
      class: "alerts-rows",
      role: "listbox",
      tabindex: "0",
      "aria-label": t("detect.alerts"),
      on: { click: (event) => this.#clicked(event) },
    });
    this.empty = el("div", { class: "empty", hidden: true });
    this.node = el(
      "div",
      { class: "alerts-list" },
      el("div", { class: "toolbar alerts-filter", role: "search" }, ...Object.values(this.fields), this.pauseButton),
      el("div", { class: "alerts-status" }, this.said, this.fresh),
      this.scroller,
      this.empty,
    );
  }

  #makeRows() {
    this.rows?.destroy?.();
    this.scroller.replaceChildren();
    this.rowHeight = this.narrow.matches ? ROW_NARROW : ROW;
    this.rows = virtualList(this.scroller, {
      rowHeight: this.rowHeight,
      render: (item) => this.#row(item),
      key: (item) => item.number,
    });
    this.update();
  }

  #row(item) {
    const { el, t, fmt } = this.ctx;
    const { alert } = item;
    const best = alert.expected?.[0];
    const expected = best
      ? [
          el("b", { text: t("detect.expected") }),
          ` ${expectedWord(best, t)} `,
          el("span", { class: "num", text: fmt.percent(best.probability) }),
        ]
      : [];
    const row = el(
      "div",
      {
        class: "alert-row",
        role: "option",
        id: `alert-${item.number}`,
        dataset: { number: item.number, severity: alert.severity },
      },
      el("span", { class: "badge", "data-kind": alert.severity, text: severityWord(alert.severity, t) }),
      el("time", { class: "num", text: moment(alert.time), title: alert.time ?? t("detect.no_time") }),
      el("span", { class: "alert-line", text: head(lineOf(alert), LINE_LETTERS) }),
      el("span", { class: "alert-session", text: visible(alert.session), title: t("detect.session") }),
      el(
        "span",
        { class: "alert-why" },
        el("span", { class: "alert-reason", text: why(alert, t, fmt) }),
        el("span", { class: "alert-expected" }, ...expected),
      ),
      el("span", { class: "alert-by", text: `${alert.detector} \u00b7 ${item.job}` }),
      el("span", { class: "alert-marks" }),
    );
    this.#decorate(row, item);
    return row;
  }

  #decorate(row, item) {
    const { t } = this.ctx;
    row.setAttribute("aria-selected", String(item.number === this.chosen));
    row.classList.toggle("is-done", item.acknowledged);
    row.classList.toggle("is-muted", item.muted);
    const marks = [item.acknowledged && t("detect.state_done"), item.muted && t("detect.muted")];
    row.querySelector(".alert-marks").textContent = marks.filter(Boolean).join(" \u00b7 ");
  }

  #clicked(event) {
    const row = event.target.closest("[data-number]");
    const item = row && this.store.get(Number(row.dataset.number));
    if (item) {
      this.mark(item.number);
      this.choose(item);
    }
  }

  #show(index) {
    const { scroller, rowHeight } = this;
    const top = index * rowHeight;
    if (top < scroller.scrollTop) {
      scroller.scrollTop = top;
    } else if (top + rowHeight > scroller.scrollTop + scroller.clientHeight) {
      scroller.scrollTop = top + rowHeight - scroller.clientHeight;
    }
    requestAnimationFrame(() => {
      this.decorateAll();
      // The list itself may reach out of the window.
      scroller.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" });
    });
  }

  #read() {
    this.wanted = Object.fromEntries(
      Object.entries(this.fields).map(([name, field]) => [name, field.value.trim()]),
    );
    this.scroller.scrollTop = 0;
    this.update();
  }

  /** What detectors and runs there are among the alerts, to choose one. */
  #options(all) {
    const offer = (field, values, first) => {
      const wanted = [...values].sort();
      const have = [...field.options].slice(1).map((option) => option.value);
      if (wanted.length === have.length && wanted.every((value, i) => value === have[i])) {
        return;
      }
      const { value } = field;
      const { el } = this.ctx;
      field.replaceChildren(first, ...wanted.map((one) => el("option", { value: one, text: one })));
      field.value = wanted.includes(value) ? value : "";
    };
    const { detector, job } = this.fields;
    offer(detector, new Set(all.map((item) => item.alert.detector)), detector.options[0]);
    offer(job, new Set(all.map((item) => item.job)), job.options[0]);
    job.hidden = job.options.length < 3;
  }

  #say(all) {
    const { t, fmt } = this.ctx;
    const { store, shown } = this;
    const filtered = Object.values(this.wanted).some(Boolean);
    const parts = [
      filtered
        ? t("detect.shown_of", { n: fmt.count(shown.length), all: fmt.count(all.length) })
        : t("detect.shown", { n: fmt.count(all.length) }),
    ];
    if (store.next !== null) {
      parts.push(t("detect.fetching", { kept: fmt.count(store.kept) }));
    }
    if (store.older > 0) {
      parts.push(t("detect.older", { n: fmt.count(store.older) }));
    }
    if (store.unreadable > 0) {
      parts.push(t("detect.unreadable", { n: fmt.count(store.unreadable) }));
    }
    if (store.error !== null && all.length > 0) {
      parts.push(t("detect.alerts_failed", { why: sentence(store.error, t) }));
    }
    this.said.textContent = parts.join(" \u00b7 ");
    const waiting = this.paused ? store.items.filter((item) => item.number > (this.frozen[0]?.number ?? 0)) : [];
    this.fresh.hidden = waiting.length === 0;
    this.fresh.textContent = t("detect.fresh", { n: fmt.count(waiting.length) });
    this.#sayEmpty(all, filtered);
  }

  #sayEmpty(all, filtered) {
    const { t } = this.ctx;
    const { store, shown } = this;
    this.empty.hidden = shown.length > 0;
    this.scroller.hidden = shown.length === 0;
    if (store.error !== null && all.length === 0) {
      this.empty.textContent = t("detect.alerts_failed", { why: sentence(store.error, t) });
    } else if (!store.loaded) {
      this.empty.textContent = t("detect.loading");
    } else {
      this.empty.textContent = t(filtered && all.length > 0 ? "detect.none_shown" : "detect.no_alerts");
    }
  }
}
