// Lines over the seconds of a trial: the whole of it, also what has not been yet. Drawn anew when figures come, which
// is once a second at most; values are read in the legend.

import { el, svg, write } from "../lib/dom.js";

const LEFT = 64;
const RIGHT = 8;
const TOP = 8;
const BOTTOM = 20;
const TICKS = 3;

/** A round step for the axis, and how many of them reach over the highest value. */
function ticksTo(most) {
  const rough = (most || 1) / TICKS;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].find((one) => one * size >= rough * 0.999) * size;
  const count = Math.max(1, Math.ceil((most * 1.001) / step));
  return Array.from({ length: count + 1 }, (_, i) => i * step);
}

/** At most so many, at round times. */
function timeTicks(long, most) {
  const steps = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600];
  const step = steps.find((one) => long / one <= most) ?? Math.ceil(long / most / 3600) * 3600;
  return Array.from({ length: Math.floor(long / step + 1e-6) + 1 }, (_, i) => i * step);
}

function clock(seconds) {
  if (seconds < 60) return `${seconds} s`;
  const two = (n) => String(n).padStart(2, "0");
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.round(seconds % 60)];
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

export class Chart {
  /** series: [{name, kind}], kind: target, a, b, c, bad; write(value) -> text; least: what the axis reaches at least. */
  constructor({ title, series, write: written, least = 0, height = 150 }) {
    this.series = series;
    this.written = written;
    this.least = least;
    this.height = height;
    this.rows = [];
    this.planned = [];
    this.bands = [];
    this.long = 0;
    this.pointed = null;
    this.values = series.map(() => el("b", { class: "num" }));
    this.at = el("span", { class: "plot-clock num muted" });
    this.place = el("div", { class: "chart-place" });
    this.place.style.height = `${height}px`;
    this.node = el(
      "figure",
      { class: "chart" },
      el("figcaption", { text: title }),
      el(
        "div",
        { class: "plot-legend" },
        series.map((one, i) =>
          el("span", {}, el("i", { class: `plot-sign of-${one.kind}` }), el("span", { class: "muted", text: one.name }), this.values[i]),
        ),
        this.at,
      ),
      this.place,
    );
    this.place.addEventListener("pointermove", (event) => this.#point(event));
    this.place.addEventListener("pointerleave", () => this.#leave());
    this.sizes = new ResizeObserver(() => this.draw());
    this.sizes.observe(this.place);
  }

  destroy() {
    this.sizes.disconnect();
  }

  /** rows: [[seconds, value of each series]]; planned: [[seconds, value]]; bands: [{name, from, to, state}]; long: seconds
   * in all, null: as far as the rows go. */
  set({ rows, planned = [], bands = [], long = null }) {
    this.rows = rows;
    this.planned = planned;
    this.bands = bands;
    this.long = Math.max(long ?? 0, rows.at(-1)?.[0] ?? 0, 0.001);
    this.draw();
  }

  draw() {
    const width = this.place.clientWidth;
    if (!width) return;
    const { height, rows, planned, bands, long } = this;
    let most = this.least;
    for (const row of rows) for (let i = 1; i < row.length; i += 1) if (row[i] > most) most = row[i];
    for (const [, value] of planned) if (value > most) most = value;
    const ticks = ticksTo(most);
    const top = ticks.at(-1);
    const x = (this.x = (at) => LEFT + (at / long) * (width - LEFT - RIGHT));
    const y = (value) => height - BOTTOM - (value / top) * (height - BOTTOM - TOP);
    const parts = [];
    for (const [i, band] of bands.entries()) {
      const [from, to] = [x(band.from), x(Math.min(band.to, long))];
      if (i % 2) parts.push(svg("rect", { class: "chart-band", x: from, y: 0, width: Math.max(0, to - from), height: height - BOTTOM }));
    }
    for (const tick of ticks) {
      parts.push(
        svg("path", { class: "chart-grid", d: `M${LEFT} ${y(tick).toFixed(1)}H${width - RIGHT}` }),
        svg("text", { class: "chart-text", x: LEFT - 6, y: y(tick) + 4, "text-anchor": "end" }, this.written(tick)),
      );
    }
    for (const tick of timeTicks(long, Math.max(2, Math.floor(width / 70)))) {
      const anchor = tick === 0 ? "start" : x(tick) > width - 28 ? "end" : "middle";
      parts.push(svg("text", { class: "chart-text", x: x(tick), y: height - 5, "text-anchor": anchor }, clock(tick)));
    }
    if (planned.length) parts.push(svg("path", { class: "chart-line of-planned", d: path(planned, 1, x, y) }));
    this.series.forEach((one, i) => {
      parts.push(svg("path", { class: `chart-line of-${one.kind}`, d: path(rows, i + 1, x, y) }));
    });
    this.cursor = svg("path", { class: "chart-cursor", d: "" });
    this.place.replaceChildren(
      svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": this.#summary() }, ...parts, this.cursor),
    );
    this.#say();
  }

  #summary() {
    const last = this.rows.at(-1);
    return this.series.map((one, i) => `${one.name} ${this.written(last?.[i + 1] ?? null)}`).join(", ");
  }

  #point(event) {
    const left = event.clientX - this.place.getBoundingClientRect().left;
    const { rows } = this;
    if (!rows.length) return;
    let near = 0;
    for (let i = 1; i < rows.length; i += 1) {
      if (Math.abs(this.x(rows[i][0]) - left) < Math.abs(this.x(rows[near][0]) - left)) near = i;
    }
    this.pointed = rows[near];
    this.#say();
  }

  #leave() {
    this.pointed = null;
    this.#say();
  }

  #say() {
    const row = this.pointed ?? this.rows.at(-1);
    this.values.forEach((node, i) => write(node, row ? this.written(row[i + 1]) : "\u2013"));
    write(this.at, this.pointed ? clock(Math.round(this.pointed[0] * 10) / 10) : "");
    this.cursor?.setAttribute("d", this.pointed ? `M${this.x(this.pointed[0]).toFixed(1)} ${TOP}V${this.height - BOTTOM}` : "");
  }
}

/** Broken where there is no value; a value alone is a dot. */
function path(rows, column, x, y) {
  let text = "";
  let open = false;
  for (let i = 0; i < rows.length; i += 1) {
    const value = rows[i][column];
    if (value === null || value === undefined) {
      open = false;
      continue;
    }
    const place = `${x(rows[i][0]).toFixed(1)} ${y(value).toFixed(1)}`;
    const next = rows[i + 1]?.[column];
    text += open ? `L${place}` : `M${place}`;
    if (!open && (next === null || next === undefined)) text += "h0.1";
    open = true;
  }
  return text;
}
