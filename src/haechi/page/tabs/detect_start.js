// The form that starts a detector: a bundle, and logs to read or ports to listen at.

import { button, field } from "../lib/dom.js";
import { openDialog } from "../lib/notice.js";
import { keep, read } from "../lib/words.js";
import { saying, sentence } from "./detect_errors.js";

const KEPT = "haechi.detect.start";

function kept() {
  try {
    return JSON.parse(read(KEPT)) ?? {};
  } catch {
    return {};
  }
}

/** One a line, or with commas between; without blanks around. */
function listed(text) {
  return text
    .split(/[\n,]/)
    .map((one) => one.trim())
    .filter(Boolean);
}

/** What the API is asked for, out of what was typed. */
export function wishOf(typed) {
  const wish = { bundle: typed.bundle.trim() };
  const sources = listed(typed.sources);
  if (sources.length) {
    wish.sources = sources;
    if (typed.follow) wish.follow = true;
  }
  for (const name of ["udp", "tcp"]) {
    const places = listed(typed[name]);
    if (places.length) wish[name] = places;
  }
  if (typed.workers && Number(typed.workers) !== 1) wish.workers = Number(typed.workers);
  if (typed.format.trim()) wish.format = typed.format.trim();
  return wish;
}

/** bundles: those that were used before, to choose from. Resolves with the new detector, null where none is wanted. */
export function askStart(ctx, bundles) {
  const { el, t, api } = ctx;
  const before = { follow: true, ...kept() };
  const offered = el("datalist", { id: "detect-bundles" }, ...bundles.map((value) => el("option", { value })));
  const inputs = {
    bundle: el("input", {
      name: "bundle",
      required: true,
      list: "detect-bundles",
      value: before.bundle ?? bundles[0] ?? "",
      spellcheck: "false",
      autocomplete: "off",
    }),
    sources: el("textarea", { name: "sources", rows: "2", value: before.sources ?? "", spellcheck: "false" }),
    follow: el("input", { type: "checkbox", name: "follow", checked: before.follow }),
    udp: el("input", { name: "udp", value: before.udp ?? "", placeholder: "127.0.0.1:5514-5553", spellcheck: "false" }),
    tcp: el("input", { name: "tcp", value: before.tcp ?? "", placeholder: "127.0.0.1:5514", spellcheck: "false" }),
    workers: el("input", { name: "workers", type: "number", min: "1", max: "64", value: before.workers ?? "1" }),
    format: el("input", { name: "format", value: before.format ?? "", spellcheck: "false", placeholder: "auto" }),
  };
  const wrong = saying(el);
  const go = button(t("detect.start"), () => {}, { class: "primary", type: "submit" });
  const form = el(
    "form",
    { class: "stack start-form" },
    offered,
    field(t("detect.start_bundle"), inputs.bundle, t("detect.start_bundle_hint")),
    field(t("detect.start_sources"), inputs.sources, t("detect.start_sources_hint")),
    el("label", { class: "check" }, inputs.follow, el("span", { text: t("detect.start_follow") })),
    el(
      "div",
      { class: "start-pair" },
      field(t("detect.start_udp"), inputs.udp),
      field(t("detect.start_tcp"), inputs.tcp),
      field(t("detect.start_workers"), inputs.workers),
      field(t("detect.start_format"), inputs.format),
    ),
    wrong.node,
    el("div", { class: "toolbar end" }, go),
  );
  return new Promise((resolve) => {
    const dialog = openDialog(t("detect.start_title"), form);
    let made = null;
    dialog.addEventListener("close", () => resolve(made));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (go.disabled) return;
      const typed = Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, input.value]));
      typed.follow = inputs.follow.checked;
      wrong.say("");
      go.disabled = true;
      try {
        made = await api.post("/detectors", wishOf(typed));
        keep(KEPT, JSON.stringify(typed));
        dialog.close();
      } catch (error) {
        wrong.say(sentence(error, t));
      } finally {
        go.disabled = false;
      }
    });
    inputs.bundle.focus();
  });
}

/** Another bundle for a detector that runs, without a line lost. Resolves with its path, null where none was taken. */
export function askBundle(ctx, job) {
  const { el, t, api } = ctx;
  const bundle = el("input", { name: "bundle", required: true, value: job.settings.bundle, spellcheck: "false" });
  const wrong = saying(el);
  const go = button(t("detect.swap"), () => {}, { class: "primary", type: "submit" });
  const form = el(
    "form",
    { class: "stack" },
    field(t("detect.start_bundle"), bundle, t("detect.swap_hint")),
    wrong.node,
    el("div", { class: "toolbar end" }, go),
  );
  return new Promise((resolve) => {
    const dialog = openDialog(t("detect.swap_title", { id: job.id }), form);
    let taken = null;
    dialog.addEventListener("close", () => resolve(taken));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      go.disabled = true;
      try {
        await api.put(`/detectors/${job.id}/bundle`, { bundle: bundle.value.trim() });
        taken = bundle.value.trim();
        dialog.close();
      } catch (error) {
        wrong.say(sentence(error, t));
      } finally {
        go.disabled = false;
      }
    });
    bundle.select();
  });
}
