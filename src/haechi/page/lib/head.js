// The head of the page: tabs, what is wrong now, the connection, language, colours, the event log.

import { api } from "./api.js";
import { button, clear, el, svg, write } from "./dom.js";
import { showKeys } from "./keys.js";
import { onTheme, switchTheme, themeNow } from "./theme.js";
import { LANGUAGES, has, languageNow, t } from "./words.js";

const ICONS = {
  dark: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z",
  light: "M12 7a5 5 0 1 0 0 10 5 5 0 0 0 0-10zM12 1v3M12 20v3M1 12h3M20 12h3M4.2 4.2l2.1 2.1M17.7 17.7l2.1 2.1M4.2 19.8l2.1-2.1M17.7 6.3l2.1-2.1",
  log: "M4 6h16M4 12h16M4 18h10",
};

export function icon(name) {
  return svg("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));
}

export function makeHead({ tabs, openLog, speak }) {
  const links = tabs.map((name, i) =>
    el("button", {
      type: "button",
      role: "tab",
      class: "tab",
      id: `tab-${name}`,
      "aria-controls": `panel-${name}`,
      title: t("shell.tab_key", { tab: t(`shell.tab.${name}`), n: i + 1 }),
      text: t(`shell.tab.${name}`),
      on: { click: () => choose(name) },
    }),
  );
  const strip = el("div", { class: "tabs", role: "tablist", "aria-label": t("shell.tabs") }, links);
  strip.addEventListener("keydown", move);
  const firing = el("div", { class: "firing", role: "status", "aria-live": "polite", id: "firing" });
  const connection = el("span", { class: "connection", role: "status", id: "connection" });
  const theme = button("", switchTheme, { class: "quiet", id: "theme" });
  const language = el(
    "select",
    { id: "language", "aria-label": t("shell.language"), class: "compact", on: { change: () => speak(language.value) } },
    Object.entries(LANGUAGES).map(([code, name]) => el("option", { value: code, text: name, selected: code === languageNow() })),
  );
  const events = button("", openLog, { class: "quiet", id: "open-log", title: t("shell.log.open") });
  events.append(icon("log"), el("span", { class: "wide", text: t("shell.log.title") }), el("span", { class: "dot", hidden: true }));

  const keys = button("?", showKeys, { class: "quiet keys-button", id: "open-keys", title: t("shell.keys.button"), "aria-label": t("shell.keys.button") });

  function showTheme() {
    const other = themeNow() === "dark" ? "light" : "dark";
    clear(theme).append(icon(other));
    theme.title = t(`shell.theme.${other}`);
    theme.setAttribute("aria-label", theme.title);
  }
  showTheme();
  const unwatch = onTheme(() => (theme.isConnected ? showTheme() : unwatch()));

  function choose(name) {
    location.hash = name;
  }

  function move(event) {
    const at = links.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: links.length - 1 }[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    const next = links[(to + links.length) % links.length];
    next.focus();
    choose(next.id.slice("tab-".length));
  }

  const node = el(
    "header",
    { class: "head" },
    el("a", { class: "brand", href: "#storm", "aria-label": "haechi" }, mark(), el("span", { text: "haechi" })),
    strip,
    firing,
    el("div", { class: "head-end" }, connection, events, keys, theme, language),
  );

  let shown = "";
  let severities = null; // of each rule, asked for when one fires first

  async function learn() {
    severities = new Map();
    try {
      severities = new Map((await api.get("/rules")).map((rule) => [rule.name, rule.severity]));
    } catch {
      severities = null; // asked for again with the next change
    }
  }

  function draw(rules) {
    clear(firing).append(...rules.slice(0, 4).map((rule) => sign(rule, severities?.get(rule.rule))));
    if (rules.length > 4) firing.append(el("span", { class: "badge", text: `+${rules.length - 4}` }));
  }

  return {
    node,
    showTab(name) {
      for (const link of links) {
        const here = link.id === `tab-${name}`;
        link.setAttribute("aria-selected", String(here));
        link.tabIndex = here ? 0 : -1;
      }
    },
    showConnection({ state, stale }) {
      const kind = state === "open" && stale ? "stale" : state;
      connection.dataset.state = kind;
      write(connection, t(`shell.connection.${kind}`));
    },
    /** [{rule, subject}] */
    showFiring(rules) {
      const now = JSON.stringify(rules);
      if (now === shown) return;
      shown = now;
      draw(rules);
      if (rules.length && severities === null) learn().then(() => now === shown && draw(rules));
      document.title = rules.length ? `(${rules.length}) ${t("shell.title")}` : t("shell.title");
    },
  };
}

function sign({ rule, subject }, severity = "high") {
  const name = has(`shell.rule.${rule}`) ? t(`shell.rule.${rule}`) : rule;
  const text = subject === "host" || subject === "detectors" ? name : `${name} · ${subject}`;
  return el("span", { class: "badge", dataset: { kind: severity }, title: rule, text });
}

/** The haechi itself. */
function mark() {
  const source = new URL("../haechi.svg", import.meta.url);
  return el("img", { src: source.href, alt: "", width: 24, height: 24 });
}
