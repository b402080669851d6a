// The storms to choose from, and what can be done with the chosen one.

import { button, clear, el, write } from "../lib/dom.js";
import { ask, notice } from "../lib/notice.js";
import { fmt, has, t } from "../lib/words.js";
import { placeOf, stateBadge, stateWord } from "./storm_words.js";

export function makeBar({ api }, doing) {
  const chips = el("div", { class: "chips live", role: "group", "aria-label": t("storm.storms") });
  const startButton = button(t("storm.start"), () => doing.start(), { class: "primary", id: "start-storm" });
  const sinkButton = button(t("storm.start_sink"), () => doing.startSink(), { id: "start-sink" });
  const facts = el("div", { class: "bar-facts" });
  const rate = el("input", { id: "rate", type: "text", inputmode: "decimal", size: 8, autocomplete: "off", "aria-label": t("storm.rate_new"), placeholder: "500k" });
  const set = el("button", { type: "submit", class: "button", text: t("storm.set_rate"), id: "set-rate" });
  const rateForm = el("form", { class: "toolbar rate-form" }, el("label", { text: t("storm.target_rate"), htmlFor: "rate", class: "muted" }), rate, set);
  const pause = button(t("storm.pause"), () => send(job.state === "paused" ? "resume" : "pause"), { id: "pause" });
  const stop = button(t("storm.stop"), stopIt, { class: "danger", id: "stop" });
  const again = button(t("storm.again"), () => doing.again(job), { id: "again" });
  const forget = button(t("storm.forget"), () => doing.act(() => api.delete(path())), { id: "forget" });
  const healing = toggle("healing");
  const tuning = toggle("tuning");
  const row = el(
    "div",
    { class: "card bar", hidden: true },
    facts,
    el("div", { class: "toolbar bar-acts" }, healing.node, tuning.node, rateForm, pause, stop, again, forget),
  );
  const node = el(
    "div",
    { class: "storm-bar" },
    el("div", { class: "toolbar bar-top" }, chips, el("div", { class: "toolbar" }, sinkButton, startButton)),
    row,
  );
  let job = null;
  let told = "";
  let listed = "";

  rateForm.addEventListener("submit", async (event) => {
    event.preventDefault();
    const eps = rate.value.trim();
    if (!eps || !job) return;
    set.disabled = true;
    const done = await doing.act(() => api.put(`${path()}/rate`, { eps }));
    set.disabled = false;
    if (!done) return rate.select();
    rate.value = "";
    notice(t("storm.rate_is", { rate: eps }), "good");
  });

  function toggle(what) {
    const box = el("input", { type: "checkbox", id: `storm-${what}` });
    box.addEventListener("change", () => doing.act(() => api.put(`${path()}/${what}`, { enabled: box.checked })));
    const label = el("label", { class: "check", hidden: true }, box, t(`storm.${what}`));
    return {
      node: label,
      show(enabled) {
        label.hidden = typeof enabled !== "boolean";
        if (document.activeElement !== box) box.checked = enabled === true;
      },
    };
  }

  const path = () => `/storms/${encodeURIComponent(job.id)}`;
  const send = (what) => doing.act(() => api.post(`${path()}/${what}`));

  async function stopIt() {
    const { id } = job;
    if (await ask(t("storm.stop_sure", { id }), { yes: t("storm.stop"), danger: true })) {
      await doing.act(() => api.post(`/storms/${encodeURIComponent(id)}/stop`));
    }
  }

  /** The chips: each storm that runs, and the chosen one. */
  function list(live, jobs, chosen) {
    const ids = live.map((one) => one.id);
    if (chosen && !ids.includes(chosen) && jobs.has(chosen)) ids.push(chosen);
    const now = ids.join();
    if (now !== listed) {
      listed = now;
      const focused = document.activeElement?.dataset?.storm;
      clear(chips).append(
        ...ids.map((id) =>
          el(
            "button",
            { type: "button", class: "chip", dataset: { storm: id }, on: { click: () => doing.choose(id) } },
            el("i", { class: "sign" }),
            el("span", { text: id }),
            el("b", { class: "num" }),
          ),
        ),
      );
      if (focused) chips.querySelector(`[data-storm="${CSS.escape(focused)}"]`)?.focus();
    }
    for (const chip of chips.children) {
      const one = live.find(({ id }) => id === chip.dataset.storm);
      const state = one?.state ?? jobs.get(chip.dataset.storm)?.state ?? "";
      chip.dataset.state = state;
      chip.title = stateWord(state);
      chip.setAttribute("aria-pressed", String(chip.dataset.storm === chosen));
      write(chip.lastElementChild, one ? `${fmt.rate(one.current_eps)}/s` : stateWord(state));
    }
  }

  function tell(live) {
    const { id, settings } = job;
    const state = live?.state ?? job.state;
    const mended = live?.healing ?? job.healing;
    const restarts = live?.restarts ?? job.restarts ?? 0;
    const now = JSON.stringify([id, state, settings, job.error, job.words, mended, restarts]);
    if (now === told) return;
    told = now;
    const say = (label, text, mono) => el("span", { class: "fact" }, el("span", { class: "muted", text: label }), el("span", { class: mono ? "mono" : "", text }));
    clear(facts).append(
      el("h2", { text: id }),
      stateBadge(state),
      say(t("storm.to"), placeOf(settings), true),
      say(t("storm.transport"), (settings.transport ?? "udp").toUpperCase()),
      say(t("storm.profile"), shortName(settings.profile ?? "system")),
      settings.anomaly_rate ? say(t("storm.anomalies"), fmt.percent(settings.anomaly_rate)) : "",
      say(t("storm.began"), fmt.time(job.started)),
      job.ended ? say(t("storm.ended"), fmt.time(job.ended)) : "",
    );
    if (mended?.state && (live || mended.state === "given_up")) facts.append(healingBadge(mended, restarts));
    if (job.error) facts.append(el("p", { class: "wrong fact-error", text: job.error }));
  }

  return {
    node,
    /** live: the storms of a message; one: the chosen one among them. */
    show(live, jobs, chosen, one) {
      list(live, jobs, chosen);
      job = jobs.get(chosen) ?? null;
      row.hidden = job === null;
      if (!job) return;
      if (one) job = { ...job, state: one.state };
      tell(one);
      const runs = job.state === "running" || job.state === "paused";
      const over = job.state === "done" || job.state === "failed";
      rateForm.hidden = over;
      pause.hidden = stop.hidden = over;
      again.hidden = forget.hidden = !over;
      rate.disabled = set.disabled = pause.disabled = !runs;
      stop.disabled = !runs && job.state !== "starting";
      rate.placeholder = one?.target_eps ? fmt.rate(one.target_eps) : "max";
      write(pause, t(job.state === "paused" ? "storm.resume" : "storm.pause"));
      healing.show(over ? undefined : (one?.healing ?? job.healing)?.enabled);
      tuning.show(over ? undefined : (one?.tuning ?? job.tuning)?.enabled);
    },
    focusRate() {
      if (!rateForm.hidden) rate.focus();
    },
    press(what) {
      const one = { pause, stop }[what];
      if (job && !one.hidden && !one.disabled) one.click();
    },
  };
}

function healingBadge({ state, step }, restarts) {
  const kind = { well: "good", suspect: "warn", recovering: "warn", given_up: "critical" }[state] ?? "info";
  const word = has(`storm.heal.${state}`) ? t(`storm.heal.${state}`) : state;
  const parts = [t("storm.healing_is", { state: word }), step && (has(`storm.heal_step.${step}`) ? t(`storm.heal_step.${step}`) : step)];
  if (restarts) parts.push(t("storm.restarts", { n: restarts }));
  return el("span", { class: "badge", id: "healing-state", dataset: { kind }, text: parts.filter(Boolean).join(" · ") });
}

/** A file's path without its folders. */
function shortName(path) {
  return path.split("/").at(-1);
}
