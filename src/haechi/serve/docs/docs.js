// The API as its own description tells of it: every operation with what it takes and answers, and a form to try it.
// Whatever comes from the description or from an answer is text.

import { button, clear, el } from "/page/lib/dom.js";
import { openSession } from "/page/lib/session.js";
import { applyTheme, switchTheme } from "/page/lib/theme.js";
import { chosenLanguage, loadWords } from "/page/lib/words.js";
import { tryForm } from "/docs/try.js";
import { boundsOf, resolved, schemaTree, typeOf } from "/docs/schema.js";
import { WORDS } from "/docs/words.js";

const METHODS = ["get", "post", "put", "delete"];
const root = document.getElementById("docs");
let words = WORDS.en;

const t = (key, values = {}) =>
  (words[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));

async function begin() {
  applyTheme();
  const language = chosenLanguage();
  words = WORDS[language] ?? WORDS.en;
  await loadWords(language);
  try {
    show(await description());
  } catch (error) {
    clear(root).append(
      el("p", { class: "empty", role: "alert" }, t("failed", { why: error.message }), button(t("again"), begin)),
    );
  }
}

async function description() {
  for (;;) {
    const answer = await fetch("/openapi.json", { cache: "no-store" });
    if (answer.status === 401) {
      await openSession();
      continue;
    }
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    return answer.json();
  }
}

function operationsOf(whole) {
  const found = [];
  for (const [path, methods] of Object.entries(whole.paths)) {
    for (const method of METHODS) {
      const operation = methods[method];
      if (!operation) continue;
      const id = `${method}${path.replace(/[{}]/g, "").replace(/[/.]/g, "-")}`;
      found.push({ id, method, path, operation, tag: operation.tags?.[0] ?? "" });
    }
  }
  return found;
}

function show(whole) {
  const operations = operationsOf(whole);
  const tags = (whole.tags ?? []).map((tag) => tag.name);
  const groups = [...new Set([...tags, ...operations.map((one) => one.tag)])];
  const none = el("p", { class: "muted", text: t("none"), hidden: true, role: "status" });
  const filter = el("input", { type: "search", placeholder: t("filter"), "aria-label": t("filter"), id: "filter" });
  const nav = el("nav", { class: "docs-nav", "aria-label": t("operations") }, filter, none);
  const main = el("main", { class: "docs-main", id: "main", tabIndex: -1 }, head(whole));
  const shown = new Map();
  for (const group of groups) {
    const of = operations.filter((one) => one.tag === group);
    if (!of.length) continue;
    const meaning = whole.tags?.find((tag) => tag.name === group)?.description;
    const links = el("ul", {}, of.map((one) => link(one, shown)));
    nav.append(el("section", { class: "nav-group" }, el("h3", { text: group }), links));
    main.append(
      el(
        "section",
        { class: "group", "aria-labelledby": `group-${group}` },
        el("h2", { id: `group-${group}`, text: group }),
        meaning && el("p", { class: "muted", text: meaning }),
        of.map((one) => card(one, whole, shown)),
      ),
    );
  }
  filter.addEventListener("input", () => narrow(filter.value, shown, none));
  clear(root).append(bar(whole), el("div", { class: "docs-body" }, nav, main));
  addEventListener("hashchange", () => open(shown));
  open(shown);
}

function bar(whole) {
  return el(
    "header",
    { class: "docs-bar" },
    el("strong", { text: `haechi ${t("title")}` }),
    el("span", { class: "muted num", text: whole.info.version }),
    el("span", { class: "space" }),
    el("a", { class: "button quiet", href: "/", text: t("dashboard") }),
    el("a", { class: "button quiet", href: "/openapi.json", text: "openapi.json" }),
    button("◐", switchTheme, { class: "quiet", title: t("theme"), "aria-label": t("theme") }),
  );
}

function head(whole) {
  return el(
    "section",
    { class: "docs-head" },
    el("h1", { text: whole.info.summary ?? whole.info.title }),
    (whole.info.description ?? "").split("\n\n").map((text) => text && el("p", { text })),
    el("p", { class: "muted", text: t("stream") }),
  );
}

const method = (name) => el("span", { class: "method", dataset: { method: name }, text: name.toUpperCase() });

/** A path that may break behind each of its slashes. */
const pathOf = (path) => path.split(/(?<=\/)/).flatMap((part) => [part, el("wbr")]);

function link(one, shown) {
  const node = el("li", {}, el("a", { href: `#${one.id}` }, method(one.method), el("span", {}, pathOf(one.path))));
  shown.set(one.id, { one, link: node });
  return node;
}

function card(one, whole, shown) {
  const inside = el("div", { class: "stack inside" });
  const node = el(
    "details",
    { class: "card operation", id: one.id, dataset: { method: one.method } },
    el(
      "summary",
      {},
      method(one.method),
      el("code", { class: "path" }, pathOf(one.path)),
      el("span", { class: "words", text: one.operation.summary ?? "" }),
    ),
    inside,
  );
  // Made when it is first looked at: there are many, and few are.
  node.addEventListener("toggle", () => {
    if (node.open && !inside.childElementCount) fill(inside, one, whole);
  });
  shown.get(one.id).card = node;
  return node;
}

function fill(inside, one, whole) {
  const { operation } = one;
  const body = operation.requestBody?.content?.["application/json"]?.schema;
  inside.append(
    ...[
      operation.description && el("p", { class: "description", text: operation.description }),
      operation.parameters?.length && parameters(operation.parameters, whole),
      body && bodyOf(body, whole),
      answers(operation.responses ?? {}, whole),
      tryForm(one, whole, t),
    ].filter(Boolean),
  );
}

function parameters(found, whole) {
  const rows = found.map((one) =>
    el(
      "tr",
      {},
      el("td", {}, el("code", { text: one.name }), one.required && el("span", { class: "field-need", text: t("required") })),
      el("td", { class: "muted", text: one.in }),
      el("td", { class: "wrap", text: [typeOf(one.schema, whole).replace(" | null", ""), boundsOf(one.schema ?? {})].filter(Boolean).join(", ") }),
      el("td", { class: "wrap", text: one.description ?? "" }),
    ),
  );
  return el(
    "section",
    {},
    el("h3", { text: t("parameters") }),
    el(
      "div",
      { class: "table-wrap" },
      el(
        "table",
        { class: "table" },
        el("thead", {}, el("tr", {}, ["name", "where", "type", "meaning"].map((key) => el("th", { scope: "col", text: t(key) })))),
        el("tbody", {}, rows),
      ),
    ),
  );
}

function bodyOf(schema, whole) {
  const found = resolved(schema, whole);
  return el(
    "section",
    {},
    el("h3", { text: `${t("body")}: ${found.title ?? typeOf(schema, whole)}` }),
    found.description && el("p", { class: "muted", text: found.description }),
    schemaTree(schema, whole, t("required")),
  );
}

function answers(responses, whole) {
  const rows = Object.entries(responses).map(([status, answer]) => {
    const [kind, content] = Object.entries(answer.content ?? {})[0] ?? ["", {}];
    const type = content.schema ? typeOf(content.schema, whole) : kind;
    const tree = status < "300" && content.schema ? schemaTree(content.schema, whole, "") : null;
    const label = [
      el("span", { class: "badge", dataset: { kind: status < "300" ? "good" : "warn" }, text: status }),
      el("span", { class: "muted", text: type === "Refusal" ? answer.description : type || answer.description }),
    ];
    return tree
      ? el("details", { class: "answer" }, el("summary", {}, label), tree)
      : el("div", { class: "answer" }, label);
  });
  return el("section", {}, el("h3", { text: t("answers") }), el("div", { class: "answers" }, rows));
}

function narrow(text, shown, none) {
  const wanted = text.trim().toLowerCase().split(/\s+/);
  let count = 0;
  for (const { one, link: item, card: node } of shown.values()) {
    const said = `${one.method} ${one.path} ${one.tag} ${one.operation.summary ?? ""}`.toLowerCase();
    const hidden = !wanted.every((word) => said.includes(word));
    item.hidden = node.hidden = hidden;
    count += hidden ? 0 : 1;
  }
  none.hidden = count > 0;
  for (const group of document.querySelectorAll(".nav-group, .group"))
    group.hidden = !group.querySelector("li:not([hidden]) > a, .operation:not([hidden])");
}

function open(shown) {
  const found = shown.get(decodeURIComponent(location.hash.slice(1)));
  for (const { link: item } of shown.values()) item.firstChild.removeAttribute("aria-current");
  if (!found) return;
  found.link.firstChild.setAttribute("aria-current", "location");
  found.card.open = true;
  found.card.scrollIntoView({ block: "start" });
  found.card.querySelector("summary").focus({ preventScroll: true });
}

begin();
