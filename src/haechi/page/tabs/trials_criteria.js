// Criteria with what became of them: a sign, the text as it was written, the value.

import { el } from "../lib/dom.js";
import { figure } from "./trials_figures.js";

const STATES = { met: "met", failed: "failed", missed: "failed", unknown: "unknown", not_reached: "waiting" };

/** criteria: of a run ({text, state, shown}) or of a report ({text, verdict, figure, value}). */
export function criteriaList(criteria, t, fmt) {
  return el(
    "ul",
    { class: "criteria" },
    criteria.map((one) => {
      const state = STATES[one.state ?? one.verdict] ?? "unknown";
      const shown = one.figure ? figure(one.figure, one.value, fmt) : (one.shown ?? "");
      return el(
        "li",
        { dataset: { state } },
        el("i", { class: "sign", role: "img", "aria-label": t(`trials.criterion.${state}`), title: t(`trials.criterion.${state}`) }),
        el("code", { text: one.text }),
        one.value === null || one.value === undefined ? null : el("span", { class: "num", text: shown }),
      );
    }),
  );
}
