// The rate that a scenario asks for, over time, and a small drawing of it.

import { svg } from "../lib/dom.js";

const POINTS = 64; // of a wave

/** The numbers of a step, in the order in which its words name them: "500,000 events/s, 1,000,000 for 5 s of every 20 s". */
function numbers(words) {
  return (words.match(/\d[\d,]*(\.\d+)?(e[+-]?\d+)?/g) ?? []).map((text) => Number(text.replaceAll(",", "")));
}

/** [seconds within the step, events a second]: the corners of its line. */
export function stepCurve(step) {
  const { duration_s: long, eps_highest: highest, words = "" } = step;
  const flat = [
    [0, highest],
    [long, highest],
  ];
  const [a, b, c, d] = numbers(words);
  if (/ \+- /.test(words) && c > 0) {
    const waves = Math.ceil(Math.min(POINTS * 8, Math.max(POINTS, (long / c) * 16)));
    return Array.from({ length: waves + 1 }, (_, i) => {
      const at = (i / waves) * long;
      return [at, a + b * Math.sin((2 * Math.PI * at) / c)];
    });
  }
  if (/ of every /.test(words) && d > 0) {
    const found = [];
    for (let from = 0; from < long && found.length < 4000; from += d) {
      const rises = Math.min(long, from + d - c);
      const ends = Math.min(long, from + d);
      found.push([from, a], [rises, a]);
      if (ends > rises) found.push([rises, b], [ends, b]);
    }
    return found;
  }
  if (/\d to \d/.test(words) && b !== undefined) {
    return [
      [0, a],
      [long, b],
    ];
  }
  return flat;
}

/** Of all steps, one after another. */
export function curve(steps) {
  let begins = 0;
  return steps.flatMap((step) => {
    const points = stepCurve(step).map(([at, eps]) => [begins + at, eps]);
    begins += step.duration_s;
    return points;
  });
}

/** A drawing without words: the area under the rate, a line between steps, a mark over steps with anomalies. */
export function drawing(steps, { width = 300, height = 44, label = "" } = {}) {
  const points = curve(steps);
  const long = steps.reduce((sum, step) => sum + step.duration_s, 0) || 1;
  const most = Math.max(1, ...points.map(([, eps]) => eps));
  const x = (at) => ((at / long) * width).toFixed(1);
  const y = (eps) => (height - 1 - (eps / most) * (height - 6)).toFixed(1);
  const line = points.map(([at, eps], i) => `${i ? "L" : "M"}${x(at)} ${y(eps)}`).join("");
  const parts = [];
  let begins = 0;
  for (const step of steps) {
    if (begins > 0) parts.push(svg("path", { class: "shape-step", d: `M${x(begins)} 0V${height}` }));
    if (step.anomalies) {
      parts.push(svg("path", { class: "shape-odd", d: `M${x(begins)} 1.5H${x(begins + step.duration_s)}` }));
    }
    begins += step.duration_s;
  }
  return svg(
    "svg",
    {
      class: "shape",
      viewBox: `0 0 ${width} ${height}`,
      preserveAspectRatio: "none",
      ...(label ? { role: "img", "aria-label": label } : { "aria-hidden": "true" }),
    },
    points.length ? svg("path", { class: "shape-area", d: `${line}L${x(long)} ${height}L0 ${height}Z` }) : null,
    svg("path", { class: "shape-line", d: line || `M0 ${height / 2}H${width}` }),
    ...parts,
  );
}
