// The forms that begin a storm or a sink. What the server refuses stands in the form, in its words.

import { button, el, field } from "../lib/dom.js";
import { notice, openDialog } from "../lib/notice.js";
import { t } from "../lib/words.js";

const PORTS = "5514-5553"; // from 1024 on: a sink needs no privilege for them
const KINDS = ["sessions", "all", "step_skipped", "steps_out_of_order", "failure_repeated", "never_seen_message", "value_out_of_range", "message_burst", "host_silence"];

/** settings: those of an earlier storm, or null; begun(id) is called when it runs. */
export async function askStorm({ api }, settings, begun) {
  const [profiles, presets] = await Promise.all([offered(api, "/profiles"), offered(api, "/presets")]);
  const old = settings ?? {};
  const text = (value, more = {}) => el("input", { type: "text", autocomplete: "off", spellcheck: "false", value: value ?? "", ...more });
  const preset = choice([["", t("storm.form.no_preset")], ...presets.map((one) => [one.name, one.name])], "");
  const given = old.profile ?? "system";
  const names = profiles.map((one) => [one.name, one.description ? `${one.name}: ${one.description}` : one.name]);
  const profile = names.length ? choice(names.some(([name]) => name === given) ? names : [...names, [given, given]], given) : text(given);
  const target = text([old.target ?? "127.0.0.1"].flat().join(", "), { required: true });
  const ports = text(old.ports ?? PORTS, { required: true });
  const eps = text(old.eps ?? "100k", { required: true });
  const duration = text(old.duration ? `${old.duration}s` : "", { placeholder: t("storm.form.until_stopped") });
  const ramp = text(old.ramp_up ? `${old.ramp_up}s` : "", { placeholder: "0s" });
  const transport = choice(["udp", "tcp", "tls"].map((name) => [name, name.toUpperCase()]), old.transport ?? "udp");
  const workers = el("input", { type: "number", min: 0, max: 256, value: old.workers ?? 0 });
  const account = el("input", { type: "checkbox", checked: settings ? old.account === true : true });
  const sink = el("input", { type: "checkbox", checked: false, id: "with-sink" });
  const anomalies = el("input", { type: "number", min: 0, max: 100, step: "any", value: (old.anomaly_rate ?? 0) * 100 });
  const kind = choice(KINDS.map((name) => [name, t(`storm.anomaly.${name}`)]), [old.anomaly_kinds ?? "sessions"].flat()[0]);
  const named = { preset, profile, target, ports, eps, duration, ramp, transport, workers, account, anomalies, kind };
  for (const [name, control] of Object.entries(named)) control.id = `storm-form-${name}`;
  preset.addEventListener("change", () => {
    const one = presets.find(({ name }) => name === preset.value);
    if (!one) return;
    eps.value = String(one.eps);
    // A preset's ports begin below 1024; as many of those that need no privilege do as well.
    ports.value = one.ports && Number(one.ports.split(/[-,]/)[0]) >= 1024 ? one.ports : moved(one.ports);
    workers.value = one.workers ?? 0;
  });

  const check = (box, word) => el("label", { class: "check", htmlFor: box.id }, box, t(word));
  form(
    t("storm.form.title"),
    t("storm.start"),
    [
      group(field(t("storm.form.preset"), preset), field(t("storm.form.profile"), profile)),
      group(field(t("storm.form.target"), target), field(t("storm.form.ports"), ports)),
      group(field(t("storm.form.eps"), eps, t("storm.form.eps_hint")), field(t("storm.form.duration"), duration, t("storm.form.duration_hint"))),
      el(
        "details",
        {},
        el("summary", { text: t("storm.form.more") }),
        el(
          "div",
          { class: "stack" },
          group(field(t("storm.form.transport"), transport), field(t("storm.form.ramp"), ramp)),
          group(field(t("storm.form.workers"), workers, t("storm.form.workers_hint")), field(t("storm.form.anomalies"), anomalies)),
          group(field(t("storm.form.kind"), kind)),
        ),
      ),
      check(account, "storm.form.account"),
      check(sink, "storm.form.with_sink"),
    ],
    async () => {
      const places = target.value.split(",").map((one) => one.trim()).filter(Boolean);
      const wish = {
        target: places.length === 1 ? places[0] : places,
        ports: ports.value.trim(),
        eps: eps.value.trim(),
        profile: profile.value,
        transport: transport.value,
        account: account.checked,
      };
      if (duration.value.trim()) wish.duration = duration.value.trim();
      if (ramp.value.trim()) wish.ramp_up = ramp.value.trim();
      if (Number(workers.value)) wish.workers = Number(workers.value);
      if (preset.value.endsWith("-classic")) wish.classic = true;
      if (Number(anomalies.value)) Object.assign(wish, { anomaly_rate: Number(anomalies.value) / 100, anomaly_kinds: [kind.value] });
      let made = null;
      if (sink.checked) made = await api.post("/sinks", { ports: wish.ports, transport: wish.transport });
      try {
        const { id } = await api.post("/storms", wish);
        notice(t("storm.began_now", { id }), "good");
        await begun(id);
      } catch (error) {
        if (made) await api.post(`/sinks/${encodeURIComponent(made.id)}/stop`).catch(() => {});
        throw error;
      }
    },
    eps,
  );
}

export function askSink({ api }, begun) {
  const ports = el("input", { type: "text", value: PORTS, required: true, autocomplete: "off", id: "sink-form-ports" });
  const transport = choice(["udp", "tcp"].map((name) => [name, name.toUpperCase()]), "udp");
  const most = el("input", { type: "text", placeholder: t("storm.form.as_many"), autocomplete: "off", id: "sink-form-most" });
  const plain = el("input", { type: "checkbox", id: "sink-form-plain" });
  transport.id = "sink-form-transport";
  form(
    t("storm.form.sink_title"),
    t("storm.start_sink"),
    [
      group(field(t("storm.form.ports"), ports), field(t("storm.form.transport"), transport)),
      group(field(t("storm.form.most"), most, t("storm.form.most_hint"))),
      el("label", { class: "check", htmlFor: plain.id }, plain, t("storm.form.plain")),
    ],
    async () => {
      const wish = { ports: ports.value.trim(), transport: transport.value };
      if (most.value.trim()) wish.max_eps = most.value.trim();
      if (plain.checked) wish.plain = true;
      const { id } = await api.post("/sinks", wish);
      notice(t("storm.began_now", { id }), "good");
      await begun();
    },
    ports,
  );
}

/** A dialog with a form; `send` throws where it is refused, and then the dialog stays. */
function form(title, yes, parts, send, first) {
  const wrong = el("p", { class: "wrong", role: "alert", hidden: true });
  const submit = el("button", { type: "submit", class: "button primary", text: yes });
  const node = el("form", { class: "stack start-form" }, parts, wrong, el("div", { class: "toolbar end" }, button(t("shell.no"), () => dialog.close()), submit));
  const dialog = openDialog(title, node);
  first.focus();
  first.select?.();
  node.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (submit.disabled) return;
    submit.disabled = true;
    submit.setAttribute("aria-busy", "true");
    wrong.hidden = true;
    try {
      await send();
      dialog.close();
    } catch (error) {
      wrong.textContent = error.status === 0 ? t("shell.unreachable") : (error.detail ?? String(error));
      wrong.hidden = false;
    }
    submit.disabled = false;
    submit.removeAttribute("aria-busy");
  });
}

const group = (...fields) => el("div", { class: "form-row" }, fields);

function choice(options, chosen) {
  return el("select", {}, options.map(([value, text]) => el("option", { value, text, selected: value === chosen })));
}

/** As many ports from 5514 on. */
function moved(text) {
  const [first, last = first] = String(text ?? "").split("-").map(Number);
  return last >= first ? `5514-${5514 + last - first}` : PORTS;
}

/** What can be chosen from; nothing where the server does not say. */
async function offered(api, path) {
  try {
    return await api.get(path);
  } catch {
    return [];
  }
}
