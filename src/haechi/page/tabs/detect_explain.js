// What is behind an alert: its session line by line, what counts say, and the most similar normal session.

import { button } from "../lib/dom.js";
import { sentence } from "./detect_errors.js";
import { head, visible } from "./detect_text.js";

const AROUND = 10; // lines before and after the alert's

/** A button that fetches the explanation, and the place where it comes to stand. */
export function explainer(ctx, item) {
  const { el, t, api } = ctx;
  const place = el("section", { class: "explained", "aria-live": "polite" });
  const ask = button(
    t("detect.explain"),
    async () => {
      place.replaceChildren(el("p", { class: "muted", text: t("detect.explaining") }));
      try {
        place.replaceChildren(...explained(ctx, await api.get(`/alerts/${item.number}/explain`)));
        ask.hidden = true;
      } catch (error) {
        place.replaceChildren(el("p", { class: "wrong", role: "alert", text: sentence(error, t) }));
      }
    },
    { dataset: { act: "explain" } },
  );
  return { ask, place };
}

function explained(ctx, found) {
  const { el } = ctx;
  return [
    ...found.notes.map((note) => el("p", { class: "muted explained-note", text: visible(note) })),
    found.session && session(ctx, found.session),
    found.counts && counts(ctx, found.counts),
    found.similar && similar(ctx, found.similar),
  ].filter(Boolean);
}

function session({ el, t, fmt }, found) {
  const at = found.events.findIndex((event) => event.is_alert);
  const from = Math.max(0, at - AROUND);
  const shown = found.events.slice(from, at + AROUND + 1);
  const last = from + shown.length === found.events.length && found.end;
  const row = (event, text, sign) =>
    el(
      "tr",
      { class: event.is_alert ? "is-it" : event.over ? "is-over" : "" },
      el("td", { class: "explained-sign", text: sign }),
      el("td", { class: "num", text: chance(event, t, fmt) }),
      el("td", { class: "num", text: event.surprise === undefined ? "\u2013" : fmt.number(event.surprise) }),
      el("td", {}, el("span", { class: "mono", text }), instead(el, t, fmt, event)),
    );
  const sign = (event) => (event.is_alert ? "\u25b6" : event.over ? "!" : "");
  return el(
    "div",
    {},
    el("h4", { text: t("detect.explain_session") }),
    el(
      "div",
      { class: "table-scroll", tabindex: "0" },
      el(
        "table",
        { class: "table explained-lines" },
        el(
          "thead",
          {},
          el("tr", {}, ...["", "explain_probability", "explain_surprise", "line"].map((name) => el("th", { text: name && t(`detect.${name}`) }))),
        ),
        el(
          "tbody",
          {},
          shown.map((event) => row(event, head(event.line, 400), sign(event))),
          last ? row(found.end, t("detect.session_end"), sign(found.end)) : null,
        ),
      ),
    ),
    found.mean &&
      el("p", {
        class: "muted",
        text: t("detect.explain_mean", { mean: fmt.number(found.mean.surprise, 3), limit: fmt.number(found.mean.limit, 3) }),
      }),
  );
}

function chance(event, t, fmt) {
  if (event.surprise === undefined) return "\u2013";
  return event.probability === null ? t("detect.explain_never") : fmt.percent(event.probability);
}

/** What was expected in its place, where it surprised. */
function instead(el, t, fmt, event) {
  if (!event.over && !event.is_alert) return null;
  const expected = event.expected ?? [];
  if (expected.length === 0) return null;
  const name = (one) => (one.template === null ? t("detect.session_end") : head(one.template, 160));
  return el(
    "ul",
    { class: "explained-expected", "aria-label": t("detect.expected_instead") },
    expected.map((one) => el("li", {}, el("span", { class: "num", text: fmt.percent(one.probability) }), el("span", { class: "mono", text: name(one) }))),
  );
}

function counts({ el, t, fmt }, found) {
  const differ = found.kinds.filter((one) => one.count !== one.usual);
  return el(
    "div",
    {},
    el("h4", { text: t("detect.counts_differ") }),
    el("p", { class: "muted", text: t("detect.explain_counts", { distance: fmt.number(found.distance, 3), limit: fmt.number(found.limit, 3) }) }),
    el(
      "ul",
      { class: "detail-counts" },
      differ.map((one) =>
        el(
          "li",
          {},
          el("span", { class: "mono", text: one.template === null ? t("detect.unknown_line") : head(one.template, 200) }),
          el("span", { class: "num", text: t("detect.count_usual", { count: fmt.count(one.count), usual: fmt.count(one.usual) }) }),
        ),
      ),
    ),
  );
}

const SIGNS = { same: "", missing: "\u2212", more: "+" };

function similar({ el, t, fmt }, found) {
  return el(
    "div",
    {},
    el("h4", { text: t("detect.explain_similar") }),
    el("p", { class: "muted", text: t("detect.explain_alike", { share: fmt.percent(found.similarity, 0), n: fmt.count(found.count) }) }),
    el(
      "ol",
      { class: "explained-similar mono" },
      found.rows.slice(0, 100).map((row) =>
        el(
          "li",
          { dataset: { mark: row.mark } },
          el("span", { class: "explained-sign", text: SIGNS[row.mark] }),
          el("span", { text: row.template === null ? t("detect.unknown_line") : head(row.template, 200) }),
        ),
      ),
    ),
  );
}
