// What a detector's lines are made of: each template with how often it came, its share, its rate and one line of it;
// and the lines that fit none.

import { withQuery } from "../lib/api.js";
import { button, write } from "../lib/dom.js";
import { saying, sentence } from "./detect_errors.js";
import { head, visible } from "./detect_text.js";

const PAGE = 100;
const AGAIN_MS = 3000;
const WAIT_MS = 250;
const EXAMPLE_LETTERS = 600;

export class Templates {
  constructor(ctx) {
    this.ctx = ctx;
    this.detector = null;
    this.limit = PAGE;
    this.rows = [];
    this.timer = null;
    this.#build();
  }

  /** Those of another detector; null: of none. */
  choose(detector) {
    if (detector === this.detector) return;
    this.detector = detector;
    this.limit = PAGE;
    this.total = null;
    if (this.timer !== null) this.load();
  }

  /** Only what is looked at is asked for. */
  start() {
    this.timer = setInterval(() => document.hidden || this.load(), AGAIN_MS);
    this.load();
  }

  stop() {
    clearInterval(this.timer);
    clearTimeout(this.waiting);
    this.timer = null;
  }

  async load() {
    const { api, t } = this.ctx;
    const asked = (this.asked = Symbol("load"));
    if (this.detector === null) {
      this.#draw({ total: 0, lines: 0, templates: [] });
      return;
    }
    const path = withQuery(`/detectors/${this.detector}/templates`, {
      query: this.query.value.trim(),
      sort: this.sort.value,
      unseen: this.unseen.checked,
      limit: this.limit,
    });
    try {
      const found = await api.get(path);
      if (asked !== this.asked) return;
      this.wrong.say("");
      this.#draw(found);
    } catch (error) {
      if (asked !== this.asked) return;
      const gone = error.status === 404 || error.status === 409;
      if (gone) this.#draw({ total: 0, lines: 0, templates: [] });
      this.wrong.say(gone ? "" : sentence(error, t));
      if (gone) this.empty.textContent = t("detect.templates_gone");
    }
  }

  #build() {
    const { el, t } = this.ctx;
    this.query = el("input", {
      type: "search",
      name: "query",
      placeholder: t("detect.templates_search"),
      "aria-label": t("detect.templates_search"),
      spellcheck: "false",
      autocomplete: "off",
      maxlength: "200",
      on: {
        input: () => {
          clearTimeout(this.waiting);
          this.waiting = setTimeout(() => this.load(), WAIT_MS);
        },
      },
    });
    this.sort = el(
      "select",
      { name: "sort", "aria-label": t("detect.sort"), on: { change: () => this.load() } },
      ...["count", "rate", "key"].map((value) => el("option", { value, text: t(`detect.sort_${value}`) })),
    );
    this.unseen = el("input", { type: "checkbox", name: "unseen", checked: true, on: { change: () => this.load() } });
    this.said = el("p", { class: "alerts-said" });
    this.wrong = saying(el);
    this.body = el("div", { class: "templates-body", role: "rowgroup" });
    this.more = button(t("detect.more"), () => {
      this.limit += PAGE;
      return this.load();
    });
    this.more.hidden = true;
    this.empty = el("div", { class: "empty", hidden: true });
    const heads = ["key", "template", "count", "share", "eps"];
    this.head = el(
      "div",
      { class: "template-row template-head", role: "row" },
      ...heads.map((name) => el("span", { role: "columnheader", class: `of-${name}`, text: t(`detect.column_${name}`) })),
    );
    this.node = el(
      "div",
      { class: "templates" },
      el(
        "div",
        { class: "toolbar", role: "search" },
        this.query,
        this.sort,
        el("label", { class: "check" }, this.unseen, el("span", { text: t("detect.with_unseen") })),
      ),
      el("div", { class: "alerts-status" }, this.said),
      this.wrong.node,
      el("div", { class: "templates-table", role: "table", "aria-label": t("detect.templates") }, this.head, this.body),
      this.empty,
      this.more,
    );
  }

  #draw({ total, lines, templates }) {
    const { t, fmt } = this.ctx;
    this.total = total;
    // Rows are kept and filled anew: what is selected or focused in them stays.
    while (this.rows.length < templates.length) {
      const row = this.#row();
      this.rows.push(row);
      this.body.append(row.node);
    }
    for (const row of this.rows.splice(templates.length)) row.node.remove();
    templates.forEach((one, i) => this.#fill(this.rows[i], one));
    this.said.textContent =
      this.detector === null
        ? ""
        : t("detect.templates_said", {
            shown: fmt.count(templates.length),
            total: fmt.count(total),
            lines: fmt.count(lines),
            detector: this.detector,
          });
    this.more.hidden = templates.length >= total || templates.length < this.limit;
    this.head.hidden = templates.length === 0;
    this.empty.hidden = templates.length > 0;
    this.empty.textContent = t(
      this.detector === null ? "detect.templates_none" : this.query.value ? "detect.templates_no_match" : "detect.templates_wait",
    );
  }

  #row() {
    const { el } = this.ctx;
    const cell = (name, ...children) => el("span", { role: "cell", class: `of-${name}` }, ...children);
    const parts = {
      key: el("span", { class: "num" }),
      template: el("span", { class: "mono template-text" }),
      example: el("span", { class: "mono template-example" }),
      count: el("span", { class: "num" }),
      share: el("span", { class: "num" }),
      bar: el("meter", { min: "0", max: "1", "aria-hidden": "true" }),
      eps: el("span", { class: "num" }),
    };
    const node = el(
      "div",
      { class: "template-row", role: "row" },
      cell("key", parts.key),
      cell("template", parts.template, parts.example),
      cell("count", parts.count),
      cell("share", parts.bar, parts.share),
      cell("eps", parts.eps),
    );
    return { node, parts };
  }

  #fill({ node, parts }, one) {
    const { t, fmt } = this.ctx;
    const unseen = one.log_key === null;
    node.classList.toggle("is-unseen", unseen);
    node.dataset.key = unseen ? "unseen" : String(one.log_key);
    write(parts.key, unseen ? "\u2013" : String(one.log_key));
    write(parts.template, unseen ? t("detect.unseen_template") : visible(one.template));
    write(parts.example, one.example === null ? "" : head(one.example, EXAMPLE_LETTERS));
    parts.example.title = one.example_source ? visible(one.example_source) : "";
    parts.example.hidden = one.example === null;
    write(parts.count, fmt.count(one.count));
    write(parts.share, fmt.percent(one.share));
    parts.bar.value = one.share;
    write(parts.eps, fmt.rate(one.eps));
  }
}
