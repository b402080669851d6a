// What an alert says, in the reader's language: made of its fields, where its rule is known; else the sentence
// that the detector wrote.

import { visible } from "./detect_text.js";

const RULES = new Set(["event_likelihood", "session_likelihood", "top_k", "untrained_key", "no_template", "session"]);

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

/** Whether what surprised is that the session ended: such an alert carries the session's last line, and no template, as
 * one on an unknown line does. */
export function isEnd(alert) {
  return alert.log_key === null && /^The session ended/.test(alert.reason);
}

/** One sentence: why this is an alert. */
export function why(alert, t, fmt) {
  const { rule } = alert;
  if (!RULES.has(rule)) return visible(alert.reason);
  if (isEnd(alert)) return t("detect.why_end");
  if (rule === "event_likelihood" || rule === "top_k") {
    return t(`detect.why_${alert.log_key === null ? "unknown" : rule}`, { rank: alert.score + 1 });
  }
  if (rule === "untrained_key" || rule === "no_template") {
    const again = alert.since_last_report ?? 0;
    return t(`detect.why_${rule}`) + (again > 0 ? ` ${t("detect.why_again", { n: fmt.count(again) })}` : "");
  }
  return t(`detect.why_${rule}`);
}
