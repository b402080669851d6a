// Elements. Text enters the page through textContent alone: nothing that a log line holds is ever markup.

/** `settings`: class, text, title, value, checked, disabled, hidden, dataset, on: {event: handler}; everything else is an
 * attribute. null, undefined and false leave one out. */
export function el(tag, settings = {}, ...children) {
  const node = document.createElement(tag);
  apply(node, settings);
  append(node, children);
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

/** The same for pictures. */
export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  append(node, children);
  return node;
}

const PROPERTIES = new Set(["value", "checked", "disabled", "hidden", "title", "selected", "tabIndex", "htmlFor"]);

function apply(node, settings) {
  for (const [name, value] of Object.entries(settings ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") node.className = value;
    else if (name === "text") node.textContent = value;
    else if (name === "on") for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler);
    else if (name === "dataset") Object.assign(node.dataset, value);
    else if (PROPERTIES.has(name)) node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
}

function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child);
  }
}

export function clear(node) {
  node.replaceChildren();
  return node;
}

/** A button that cannot be pressed a second time while what it does goes on. */
export function button(text, press, settings = {}) {
  const { class: extra = "", ...rest } = settings;
  const node = el("button", { type: "button", class: `button ${extra}`.trim(), text, ...rest });
  node.addEventListener("click", async (event) => {
    if (node.getAttribute("aria-busy") === "true") return;
    const done = press(event);
    if (!(done instanceof Promise)) return;
    node.setAttribute("aria-busy", "true");
    try {
      await done;
    } finally {
      node.removeAttribute("aria-busy");
    }
  });
  return node;
}

/** Writes text only where it changed: a page that is written once a second should not be laid out each time. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A labelled field: what is typed into is the last child. */
export function field(label, control, hint) {
  control.id ||= `field-${++fields}`;
  return el(
    "div",
    { class: "field" },
    el("label", { text: label, htmlFor: control.id }),
    control,
    hint && el("small", { class: "hint", text: hint }),
  );
}

let fields = 0;
