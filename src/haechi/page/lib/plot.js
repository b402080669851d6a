// Lines over the last minutes. Plotly is loaded when the first plot is shown, and drawn to only while it is in sight.
// Values are read in the legend: the newest ones, or those under the pointer.

import { el, write } from "./dom.js";
import { onTheme } from "./theme.js";
import { fmt, languageNow } from "./words.js";

const SCRIPT = new URL("../plotly.min.js", import.meta.url);
const TICKS = 3;
let loading = null;

/** Plotly writes style elements, which the page's policy refuses. Elements of these names keep it from that: the first as
 * its manual says, the second because the maps in it, which are not used, look for theirs. */
const STYLES = ["plotly.js-style-global", "9f215cf04c5486422605d13261cb87401f4e7763b6296af81e98efbc0130da53"];

function plotly() {
  loading ??= new Promise((resolve, reject) => {
    const href = new URL("../styles/plotly.css", import.meta.url).href;
    if (!document.getElementById(STYLES[0])) {
      document.head.append(el("link", { id: STYLES[0], class: "no-inline-styles", rel: "stylesheet", href }), el("meta", { id: STYLES[1] }));
    }
    const script = el("script", { src: SCRIPT.href, async: true });
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      loading = null;
      script.remove();
      reject(new Error("plotly.min.js"));
    };
    document.head.append(script);
  });
  return loading;
}

/** How a value is written, by unit: eps, bytes, percent (0 to 100), ratio (0 to 1), us, cores, count; or a function. */
const UNITS = {
  eps: (v) => `${fmt.rate(v)}/s`,
  bytes: fmt.bytes,
  "bytes/s": (v) => `${fmt.bytes(v)}/s`,
  percent: (v) => fmt.percent(v === null ? null : v / 100),
  ratio: (v) => fmt.percent(v),
  us: fmt.micros,
  cores: (v) => fmt.number(v, 2),
  count: fmt.count,
};

const colour = (name) =>
  name.startsWith("--") ? getComputedStyle(document.documentElement).getPropertyValue(name).trim() : name;

/** series: [{name, colour: "--accent", dash: "dot", fill: true, shape: "hv"}]. `top`: what the axis reaches at least.
 * push(t, values): t in seconds since 1970, one value a series, null where there is none. fill(rows): [[t, ...values]].
 * `label` says what it is to who cannot see it. */
export function timePlot(node, { series, unit = "count", seconds = 300, top = 0, height = 130, label = "" }) {
  const write_value = typeof unit === "function" ? unit : (UNITS[unit] ?? UNITS.count);
  const values = series.map((one) => el("b", { class: "num" }));
  const clock = el("span", { class: "plot-clock num muted" });
  const legend = el(
    "div",
    { class: "plot-legend" },
    series.map((one, i) => {
      const sign = el("i", { class: "plot-sign", dataset: { dash: one.dash ?? "solid" } });
      sign.style.borderColor = one.colour.startsWith("--") ? `var(${one.colour})` : one.colour;
      return el("span", {}, sign, el("span", { class: "muted", text: one.name }), values[i]);
    }),
    clock,
  );
  const canvas = el("div", { class: "plot-canvas", role: "img", "aria-label": label || series.map((one) => one.name).join(", ") });
  canvas.style.height = `${height}px`;
  node.replaceChildren(legend, canvas);
  node.classList.add("plot");

  let rows = [];
  let made = null; // the library, once the plot is there
  let seen = false;
  let gone = false;
  let pointed = null; // the row under the pointer
  let due = 0;

  const sight = new IntersectionObserver((changes) => {
    seen = changes.at(-1).isIntersecting;
    if (seen) soon();
  });
  sight.observe(canvas);
  const sizes = new ResizeObserver(() => soon());
  sizes.observe(canvas);
  const unwatch = onTheme(() => soon());

  function soon() {
    if (gone || !seen || document.hidden || due) return;
    due = requestAnimationFrame(() => {
      due = 0;
      draw();
    });
  }

  async function draw() {
    if (!canvas.clientWidth) return;
    if (made === null) {
      made = false;
      try {
        made = await plotly();
      } catch {
        made = null;
        return;
      }
      if (gone) return;
      await made.newPlot(canvas, traces(), layout(), SETTINGS);
      canvas.on("plotly_hover", ({ points }) => point(rows[points[0].pointIndex]));
      canvas.on("plotly_unhover", () => point(null));
      return;
    }
    if (made) made.react(canvas, traces(), layout(), SETTINGS);
  }

  function traces() {
    const x = rows.map((row) => row[0]);
    return series.map((one, i) => ({
      type: "scatter",
      mode: "lines",
      x,
      y: rows.map((row) => row[i + 1]),
      hoverinfo: "none",
      connectgaps: false,
      line: { color: colour(one.colour), width: one.dash ? 1.25 : 1.6, dash: one.dash ?? "solid", shape: one.shape ?? "linear" },
      ...(one.fill ? { fill: "tozeroy", fillcolor: faint(colour(one.colour)) } : {}),
    }));
  }

  function layout() {
    const end = rows.length ? rows[rows.length - 1][0] : Date.now() / 1000;
    const ticks = upTo(Math.max(top, highest()));
    // None where the other axis has its lowest label, and no more than there is room for.
    const minutes = minutesIn(end - seconds * 0.95, end, Math.max(1, (canvas.clientWidth - 70) / 44));
    return {
      width: canvas.clientWidth,
      height: canvas.clientHeight,
      margin: { l: 62, r: 8, t: 6, b: 20 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      showlegend: false,
      dragmode: false,
      hovermode: "x",
      hoverdistance: -1,
      font: { family: "inherit", size: 11, color: colour("--muted") },
      xaxis: {
        range: [end - seconds, end],
        fixedrange: true,
        showgrid: false,
        zeroline: false,
        tickangle: 0,
        tickvals: minutes,
        ticktext: minutes.map(clockOf),
        showspikes: true,
        spikemode: "across",
        spikethickness: 1,
        spikedash: "solid",
        spikecolor: colour("--muted"),
      },
      yaxis: {
        range: [0, ticks.top],
        fixedrange: true,
        gridcolor: colour("--line"),
        zeroline: false,
        tickvals: ticks.at,
        ticktext: ticks.at.map((v) => write_value(v)),
      },
    };
  }

  function highest() {
    let most = 0;
    for (const row of rows) for (let i = 1; i < row.length; i++) if (row[i] > most) most = row[i];
    return most;
  }

  function point(row) {
    pointed = row ?? null;
    say();
  }

  function say() {
    const row = pointed ?? rows[rows.length - 1];
    series.forEach((_, i) => write(values[i], row ? write_value(row[i + 1]) : "–"));
    write(clock, pointed ? fmt.time(new Date(pointed[0] * 1000).toISOString()) : "");
  }

  function forget() {
    const since = (rows.length ? rows[rows.length - 1][0] : 0) - seconds - 2;
    const first = rows.findIndex((row) => row[0] >= since);
    if (first > 0) rows = rows.slice(first);
  }

  say();
  return {
    push(t, next) {
      if (rows.length && t <= rows[rows.length - 1][0]) return;
      rows.push([t, ...next]);
      forget();
      if (!pointed) say();
      soon();
    },
    /** All that is shown, anew. */
    fill(all) {
      rows = all.map((row) => [...row]);
      forget();
      say();
      soon();
    },
    resize: soon,
    destroy() {
      gone = true;
      sight.disconnect();
      sizes.disconnect();
      unwatch();
      cancelAnimationFrame(due);
      if (made) made.purge(canvas);
    },
  };
}

const SETTINGS = { displayModeBar: false, responsive: false, doubleClick: false, scrollZoom: false, showTips: false };

const faint = (text) => {
  const [r, g, b] = text.match(/\w\w/g).map((two) => parseInt(two, 16));
  return `rgba(${r},${g},${b},0.13)`;
};

/** Round steps from 0: two to four of them, with some room above the highest value. */
function upTo(most) {
  const end = (most || 1) * 1.12;
  const rough = end / TICKS;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].find((one) => one * size >= rough * 0.7) * size;
  return { top: end, at: Array.from({ length: Math.floor(end / step) + 1 }, (_, i) => i * step) };
}

function minutesIn(from, to, most) {
  const apart = [60, 120, 300, 600, 1800, 3600].find((step) => (to - from) / step <= most) ?? 7200;
  const first = Math.ceil(from / apart) * apart;
  return Array.from({ length: Math.max(0, Math.floor((to - first) / apart) + 1) }, (_, i) => first + i * apart);
}

function clockOf(t) {
  return new Date(t * 1000).toLocaleTimeString(languageNow(), { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}
