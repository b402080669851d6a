// What an alert says, in the reader's language: made of its fields, where its rule is known; else the sentence
// that the detector wrote.

import { visible } from "./detect_text.js";

const RULES = new Set(["event_likelihood", "session_likelihood", "top_k", "untrained_key", "no_template"]);

export function severityWord(severity, t) {
  return t(`detect.severity_${severity}`);
}

export function ruleWord(rule, t) {
  return RULES.has(rule) ? t(`detect.rule_${rule}`) : rule;
}

/** A template that was expected; the end of the session has none. */
export function expectedWord(one, t) {
  return one.log_key === null ? t("detect.session_end") : visible(one.template);
}

/** One sentence: why this is an alert. */
export function why(alert, t, fmt) {
  const { rule } = alert;
  if (!RULES.has(rule)) {
    return visible(alert.reason);
  }
  if (rule === "event_likelihood" || rule === "top_k") {
    const ended = alert.log_key === null && (alert.lines ?? []).length === 0;
    const what = alert.log_key === null && alert.template === null && !ended ? "unknown" : rule;
    return t(`detect.why_${what}`, { rank: alert.score + 1 });
  }
  if (rule === "untrained_key" || rule === "no_template") {
    const again = alert.since_last_report ?? 0;
    return t(`detect.why_${rule}`) + (again > 0 ? ` ${t("detect.why_again", { n: fmt.count(again) })}` : "");
  }
  return t(`detect.why_${rule}`);
}
