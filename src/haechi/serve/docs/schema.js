// JSON schemas as people read them: a type in words, a tree of fields, an example. Pure but for the elements made.

import { el } from "/page/lib/dom.js";

const DEPTH_MAX = 6;

/** What a $ref of the document stands for. */
export function resolved(schema, whole) {
  let found = schema ?? {};
  for (let i = 0; i < 10 && found.$ref; i++) {
    const name = found.$ref.split("/").pop();
    found = whole.components?.schemas?.[name] ?? {};
  }
  return found;
}

export function typeOf(schema, whole) {
  if (schema?.$ref) return schema.$ref.split("/").pop();
  const found = schema ?? {};
  const among = found.anyOf ?? found.oneOf;
  if (among) return [...new Set(among.map((one) => typeOf(one, whole)))].join(" | ");
  if (found.enum) return found.enum.map((one) => JSON.stringify(one)).join(" | ");
  if ("const" in found) return JSON.stringify(found.const);
  if (found.type === "array") {
    if (found.prefixItems) return `[${found.prefixItems.map((one) => typeOf(one, whole)).join(", ")}]`;
    return `${typeOf(found.items, whole)}[]`;
  }
  if (Array.isArray(found.type)) return found.type.join(" | ");
  return found.type ?? (found.properties ? "object" : "any");
}

/** Bounds and defaults, in a few signs. */
export function boundsOf(schema) {
  const parts = [];
  for (const one of [schema, ...(schema.anyOf ?? [])]) {
    if (one.minimum !== undefined) parts.push(`≥ ${one.minimum}`);
    if (one.exclusiveMinimum !== undefined) parts.push(`> ${one.exclusiveMinimum}`);
    if (one.maximum !== undefined) parts.push(`≤ ${one.maximum}`);
    if (one.exclusiveMaximum !== undefined) parts.push(`< ${one.exclusiveMaximum}`);
    if (one.minLength) parts.push(`${one.minLength}+ characters`);
    if (one.maxLength !== undefined) parts.push(`≤ ${one.maxLength} characters`);
  }
  if (schema.default !== undefined && schema.default !== null) parts.push(`= ${JSON.stringify(schema.default)}`);
  return [...new Set(parts)].join(", ");
}

export function exampleOf(schema, whole, depth = 0) {
  const found = resolved(schema, whole);
  if (found.examples?.length) return found.examples[0];
  if (found.example !== undefined) return found.example;
  if (found.default !== undefined) return found.default;
  if ("const" in found) return found.const;
  if (found.enum) return found.enum[0];
  const among = found.anyOf ?? found.oneOf;
  if (among) return exampleOf(among.find((one) => one.type !== "null") ?? among[0], whole, depth);
  if (found.properties) {
    if (depth >= DEPTH_MAX) return {};
    const names = Object.keys(found.properties);
    const wanted = depth > 0 || !found.required?.length ? names : found.required;
    return Object.fromEntries(wanted.map((name) => [name, exampleOf(found.properties[name], whole, depth + 1)]));
  }
  switch (Array.isArray(found.type) ? found.type[0] : found.type) {
    case "array":
      return depth >= DEPTH_MAX || !found.items ? [] : [exampleOf(found.items, whole, depth + 1)];
    case "integer":
    case "number":
      return found.minimum ?? 0;
    case "boolean":
      return false;
    case "string":
      return "";
    case "object":
      return {};
    default:
      return null;
  }
}

/** Fields under fields, folded below the first two levels. */
export function schemaTree(schema, whole, required, depth = 0, seen = []) {
  const name = schema?.$ref ?? null;
  const found = resolved(schema, whole);
  if (depth > DEPTH_MAX || (name && seen.includes(name))) return null;
  const below = name ? [...seen, name] : seen;
  const inner = found.properties ? found : itemsOf(found, whole);
  if (!inner) return null;
  const innerName = inner.ref;
  if (innerName && below.includes(innerName)) return null;
  const fields = Object.entries(inner.properties ?? {});
  if (!fields.length) return null;
  const needed = new Set(inner.required ?? []);
  return el(
    "ul",
    { class: "fields" },
    fields.map(([field, of]) => fieldRow(field, of, whole, needed.has(field) ? required : "", depth, innerName ? [...below, innerName] : below, required)),
  );
}

function itemsOf(found, whole) {
  const candidates = [found.items, ...(found.anyOf ?? []), ...(found.anyOf ?? []).map((one) => one.items)];
  if (found.additionalProperties && typeof found.additionalProperties === "object")
    candidates.push(found.additionalProperties);
  for (const one of candidates) {
    const inner = resolved(one, whole);
    if (inner.properties) return { properties: inner.properties, required: inner.required, ref: one.$ref };
  }
  return null;
}

function fieldRow(name, schema, whole, need, depth, seen, required) {
  const found = resolved(schema, whole);
  const head = [
    el("code", { class: "field-name", text: name }),
    el("span", { class: "field-type", text: typeOf(schema, whole) }),
    need && el("span", { class: "field-need", text: need }),
    boundsOf(found) && el("span", { class: "muted", text: boundsOf(found) }),
    (schema.description ?? found.description) &&
      el("span", { class: "field-words", text: schema.description ?? found.description }),
  ];
  const inner = schemaTree(schema, whole, required, depth + 1, seen);
  if (!inner) return el("li", {}, el("div", { class: "field-row" }, head));
  return el(
    "li",
    {},
    el("details", { open: depth < 1 }, el("summary", { class: "field-row" }, head), inner),
  );
}
