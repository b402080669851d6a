// A scenario's YAML: looked at, or written and kept under a name of one's own. What the server refuses is said here.

import { button, field } from "../lib/dom.js";
import { openDialog } from "../lib/notice.js";
import { saying, sentence } from "./detect_errors.js";

const MOST_BYTES = 1 << 20;
const FIRST = `name: mine
description: A minute at 20,000 events/s.
target:
  kind: sink
  ports: 4 free
steps:
  - {name: steady, rate: 20k, duration: 1m, criteria: [loss_ratio == 0]}
criteria:
  - achieved_ratio >= 0.99
`;

/** view: what to begin with; null: a new one. Resolves with the name it was kept under, null where it was not. */
export function askText(ctx, view) {
  const { el, t, api } = ctx;
  const name = el("input", {
    name: "name",
    required: true,
    pattern: "[a-z0-9][a-z0-9._\\-]{0,59}",
    maxlength: "60",
    spellcheck: "false",
    autocomplete: "off",
    value: view === null ? "mine" : view.shipped ? `my-${view.name}` : view.name,
  });
  const text = el("textarea", { name: "text", class: "mono yaml", rows: "18", spellcheck: "false", wrap: "off", value: view?.text ?? FIRST });
  const file = el("input", { type: "file", accept: ".yaml,.yml,text/yaml", "aria-label": t("trials.upload") });
  const wrong = saying(el);
  wrong.node.classList.add("yaml-wrong");
  file.addEventListener("change", async () => {
    const [chosen] = file.files;
    if (!chosen) return;
    if (chosen.size > MOST_BYTES) {
      wrong.say(t("trials.upload_large"));
      return;
    }
    text.value = await chosen.text();
    const stem = chosen.name.replace(/\.ya?ml$/i, "").toLowerCase();
    if (/^[a-z0-9][a-z0-9._-]{0,59}$/.test(stem)) name.value = stem;
    wrong.say("");
  });
  const go = button(t("trials.keep"), () => {}, { class: "primary", type: "submit" });
  const form = el(
    "form",
    { class: "stack" },
    view?.shipped ? el("p", { class: "muted", text: t("trials.shipped_hint") }) : null,
    el("div", { class: "yaml-name" }, field(t("trials.keep_as"), name), field(t("trials.upload"), file)),
    field(t("trials.yaml_text"), text, t("trials.yaml_hint")),
    wrong.node,
    el("div", { class: "toolbar end" }, go),
  );
  return new Promise((resolve) => {
    const dialog = openDialog(view === null ? t("trials.new") : view.name, form);
    dialog.classList.add("yaml-dialog");
    let kept = null;
    dialog.addEventListener("close", () => resolve(kept));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (go.disabled) return;
      wrong.say("");
      go.disabled = true;
      try {
        await api.put(`/scenarios/${encodeURIComponent(name.value)}`, { text: text.value });
        kept = name.value;
        dialog.close();
      } catch (error) {
        wrong.say(sentence(error, t));
      } finally {
        go.disabled = false;
      }
    });
    text.focus();
    text.setSelectionRange(0, 0);
  });
}
