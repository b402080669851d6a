// Figures of reports and criteria: how each is written, and what it is called.

import { has } from "../lib/words.js";

const RATES = /(_eps|efficiency)$/;
const SECONDS = /^(latency_\w+|recovery)$/;
const RATIOS = new Set([
  ...["loss_ratio", "error_ratio", "late_ratio", "achieved_ratio", "uptime_ratio", "cpu", "precision", "recall", "f1"],
  ...["packet_loss_rate", "error_rate", "network_utilization", "linear_scalability"],
]);
const BYTES = /(^memory|_memory|_bytes)$/;
const PERCENTS = new Set(["target_achievement_percent", "uptime_percentage"]);
const COUNTS = new Set(["sent", "received", "lost", "errors", "points"]);

/** A figure's value as text. */
export function figure(name, value, fmt) {
  if (value === null || value === undefined) return "\u2013";
  if (name === "memory_efficiency") return `${fmt.rate(value)}/s`;
  if (RATES.test(name)) return `${fmt.rate(value)}/s`;
  if (SECONDS.test(name)) return fmt.seconds(value);
  if (RATIOS.has(name)) return fmt.percent(value);
  if (PERCENTS.has(name)) return fmt.percent(value / 100, 2);
  if (BYTES.test(name)) return fmt.bytes(value);
  if (COUNTS.has(name)) return fmt.count(value);
  return fmt.number(value);
}

/** Its name in the reader's language; its own where it has none. */
export function figureWord(name, t) {
  const key = `trials.figure.${name}`;
  return has(key) ? t(key) : name;
}

/** A length of time as it is planned: 10 min, 24 h, 1.5 s. */
export function planned(seconds, t, fmt) {
  if (seconds === null || seconds === undefined) return t("trials.open_end");
  const whole = (n) => Math.abs(n - Math.round(n)) < 0.005;
  if (seconds >= 3600 && whole(seconds / 60)) {
    const hours = Math.floor(seconds / 3600 + 1e-9);
    const minutes = Math.round(seconds / 60 - hours * 60);
    return minutes ? t("trials.hours_minutes", { hours, minutes }) : t("trials.hours", { n: hours });
  }
  if (seconds >= 60 && whole(seconds / 60)) return t("trials.minutes", { n: Math.round(seconds / 60) });
  return fmt.seconds(seconds);
}
