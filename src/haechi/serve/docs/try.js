// A form for one operation: its parameters and its body, what a shell would say, and the answer as text.

import { button, el } from "/page/lib/dom.js";
import { openSession } from "/page/lib/session.js";
import { exampleOf } from "/docs/schema.js";

const SHOWN_MAX = 200_000; // characters of an answer

export function tryForm(one, whole, t) {
  const { method, path, operation } = one;
  const inputs = (operation.parameters ?? []).map((parameter) => [parameter, input(one, parameter, whole)]);
  const schema = operation.requestBody?.content?.["application/json"]?.schema;
  const body = schema ? bodyField(one, schema, whole, t) : null;
  const says = el("code", { class: "curl" });
  const wrong = el("p", { class: "wrong", role: "alert", hidden: true });
  const answer = el("div", { class: "result", "aria-live": "polite", hidden: true });

  const request = () => {
    let at = path;
    const query = new URLSearchParams();
    for (const [parameter, field] of inputs) {
      const value = field.value.trim();
      if (parameter.in === "path") {
        if (!value) throw new Error(t("missing", { name: parameter.name }));
        at = at.replace(`{${parameter.name}}`, encodeURIComponent(value));
      } else if (value) query.append(parameter.name, value);
    }
    const text = [...query].length ? `${at}?${query}` : at;
    return { text, body: body ? JSON.stringify(JSON.parse(body.value)) : null };
  };
  const tell = () => {
    try {
      says.textContent = shell(method, request());
      wrong.hidden = true;
    } catch (error) {
      says.textContent = "";
      wrong.textContent = error instanceof SyntaxError ? `${t("wrong")}: ${error.message}` : error.message;
      wrong.hidden = !(error instanceof SyntaxError);
    }
  };
  const send = async () => {
    let asked;
    try {
      asked = request();
    } catch (error) {
      wrong.textContent = error instanceof SyntaxError ? `${t("wrong")}: ${error.message}` : error.message;
      wrong.hidden = false;
      return;
    }
    wrong.hidden = true;
    await ask(method, asked, answer, t);
  };
  for (const [, field] of inputs) field.addEventListener("input", tell);
  body?.addEventListener("input", tell);
  tell();
  const copy = button(t("copy"), async () => {
    await navigator.clipboard?.writeText(says.textContent);
    copy.textContent = t("copied");
  }, { class: "quiet" });
  return el(
    "form",
    {
      class: "try stack",
      on: {
        submit: (event) => {
          event.preventDefault();
          send();
        },
      },
    },
    el("h3", { text: t("try") }),
    method !== "get" && el("p", { class: "muted", text: t("changes") }),
    inputs.length > 0 && el("div", { class: "grid" }, inputs.map(([parameter, field]) => labelled(parameter, field))),
    body && el("div", { class: "field" }, el("label", { htmlFor: body.id, text: `${t("body")} (JSON)` }), body),
    wrong,
    el("div", { class: "shell" }, says, copy),
    el("div", { class: "toolbar" }, button(t("send"), send, { class: "primary" })),
    answer,
  );
}

function input(one, parameter, whole) {
  const schema = parameter.schema ?? {};
  const among = [schema, ...(schema.anyOf ?? [])];
  const choices = among.find((each) => each.enum)?.enum ?? (among.some((each) => each.type === "boolean") ? ["true", "false"] : null);
  const id = `try-${one.id}-${parameter.name}`;
  const first = parameter.in === "path" ? String(exampleOf(schema, whole) ?? "") : "";
  if (!choices) return el("input", { id, value: first, spellcheck: "false", autocomplete: "off" });
  return el(
    "select",
    { id },
    !parameter.required && el("option", { value: "", text: "" }),
    choices.map((value) => el("option", { value, text: value })),
  );
}

function bodyField(one, schema, whole) {
  const text = JSON.stringify(exampleOf(schema, whole), null, 2);
  return el("textarea", {
    id: `try-${one.id}-body`,
    class: "mono",
    value: text,
    rows: String(Math.min(16, Math.max(3, text.split("\n").length))),
    spellcheck: "false",
  });
}

function labelled(parameter, field) {
  return el("div", { class: "field" }, el("label", { htmlFor: field.id, text: parameter.name }), field);
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function shell(method, asked) {
  const parts = ["curl"];
  if (method !== "get" && !(method === "post" && asked.body)) parts.push("-X", method.toUpperCase());
  parts.push(quoted(location.origin + asked.text));
  if (asked.body) parts.push("--json", quoted(asked.body));
  return parts.join(" ");
}

async function ask(method, asked, answer, t) {
  const settings = { method: method.toUpperCase(), cache: "no-store", credentials: "same-origin" };
  if (asked.body !== null) {
    settings.headers = { "content-type": "application/json" };
    settings.body = asked.body;
  }
  const since = performance.now();
  let got, text;
  try {
    got = await fetch(asked.text, settings);
    if (got.status === 401 && asked.text !== "/session") {
      await openSession();
      return ask(method, asked, answer, t);
    }
    text = await got.text();
  } catch {
    show(answer, "bad", t("unreachable"), "", "");
    return undefined;
  }
  const took = t("took", { ms: Math.round(performance.now() - since) });
  const kind = got.headers.get("content-type") ?? "";
  show(answer, got.ok ? "good" : "bad", `${got.status} ${got.statusText}`, took, pretty(text, kind) || t("empty"));
  return undefined;
}

function pretty(text, kind) {
  const short = text.slice(0, SHOWN_MAX);
  if (!kind.includes("json") || text.length > SHOWN_MAX) return short;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return short;
  }
}

function show(answer, kind, status, took, text) {
  answer.hidden = false;
  answer.replaceChildren(
    el("div", { class: "toolbar" }, el("span", { class: "badge", dataset: { kind }, text: status }), el("span", { class: "muted num", text: took })),
    el("pre", { class: "mono said", text, tabIndex: 0 }),
  );
}
