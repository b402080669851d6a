// The shell: head, tabs, connection, and whatever tab is shown.

import { api } from "./lib/api.js";
import { clear, el, write } from "./lib/dom.js";
import { feed } from "./lib/feed.js";
import { makeHead } from "./lib/head.js";
import { makeLog } from "./lib/log.js";
import { bindKey, showKeys } from "./lib/keys.js";
import { ask, notice } from "./lib/notice.js";
import { applyTheme } from "./lib/theme.js";
import { chosenLanguage, fmt, keepLanguage, loadWords, t } from "./lib/words.js";

const TABS = ["storm", "detect", "trials"];
const shell = document.getElementById("shell");
const context = { api, feed, t, fmt, el, notice, ask };
let mounted = new Map(); // name -> {panel, tab: {unmount}}
let head = null;
let log = null;

async function begin() {
  applyTheme();
  const words = loadWords(chosenLanguage());
  // Before the words are there: figures come while they do.
  feed.metrics.subscribe((message) => {
    head?.showFiring(message.firing ?? []);
    log?.noteLast(message.events?.last);
  });
  try {
    await words;
  } catch {
    shell.textContent = "haechi: the page could not be loaded; is the server running?";
    return;
  }
  build();
  feed.metrics.watch((state) => {
    head.showConnection(state);
    document.body.dataset.connection = state.state;
    document.body.dataset.stale = state.stale ? "yes" : "no";
  });
  addEventListener("hashchange", show);
  TABS.forEach((name, i) => bindKey(String(i + 1), () => (location.hash = name), `shell.tab.${name}`));
  bindKey("e", () => log.toggle(), "shell.log.open_short");
  bindKey("?", showKeys, "shell.keys.title");
  setInterval(tellAge, 1000);
}

/** Made anew when the language changes; the connection stays. */
function build() {
  const kept = document.activeElement?.id;
  unmountAll();
  log?.close();
  log = makeLog();
  head = makeHead({ tabs: TABS, openLog: log.toggle, speak });
  const panels = el("main", { id: "panels" });
  const lost = el("div", { id: "lost", role: "alert", hidden: true });
  clear(shell).append(el("a", { class: "skip", href: "#panels", text: t("shell.skip"), on: { click: skip } }), head.node, el("h1", { class: "heard", text: t("shell.heading") }), lost, panels, log.node);
  document.title = t("shell.title");
  head.showConnection(feed.metrics);
  head.showFiring(feed.metrics.latest?.firing ?? []);
  log.noteLast(feed.metrics.latest?.events?.last);
  show();
  if (kept) document.getElementById(kept)?.focus();
}

function skip(event) {
  event.preventDefault();
  const panel = document.querySelector(".panel:not([hidden])");
  panel?.focus();
}

async function speak(language) {
  keepLanguage(language);
  await loadWords(language);
  build();
}

function chosen() {
  const name = location.hash.slice(1).split("/")[0];
  return TABS.includes(name) ? name : TABS[0];
}

/** Others than the chosen one are unmounted, so that what is not seen does no work. */
async function show() {
  const name = chosen();
  head.showTab(name);
  if (mounted.has(name)) return;
  unmountAll();
  const panel = el("section", {
    class: "panel",
    role: "tabpanel",
    id: `panel-${name}`,
    "aria-labelledby": `tab-${name}`,
    tabIndex: -1,
  });
  document.getElementById("panels").replaceChildren(panel);
  const place = { panel, tab: null };
  mounted.set(name, place);
  try {
    const [module] = await Promise.all([import(`./tabs/${name}.js`), style(name)]);
    if (mounted.get(name) !== place) return;
    place.tab = module.mount(panel, context);
    performance.mark(`haechi-${name}`); // from here on it can be used
  } catch (error) {
    console.error(error);
    mounted.delete(name);
    panel.replaceChildren(
      el(
        "div",
        { class: "empty", role: "alert" },
        el("p", { text: t("shell.tab_missing", { tab: t(`shell.tab.${name}`) }) }),
        el("button", { class: "button", text: t("shell.reload"), on: { click: () => location.reload() } }),
      ),
    );
  }
}

/** A tab's own styles; it is shown when they are there, so that nothing jumps. */
function style(name) {
  const id = `style-${name}`;
  if (document.getElementById(id)) return null;
  const href = new URL(`./styles/${name}.css`, import.meta.url).href;
  return new Promise((resolve) => {
    document.head.append(el("link", { id, rel: "stylesheet", href, on: { load: resolve, error: resolve } }));
  });
}

function unmountAll() {
  for (const { tab } of mounted.values()) tab?.unmount?.();
  mounted = new Map();
}

function tellAge() {
  const lost = document.getElementById("lost");
  const { state, stale, latestAt } = feed.metrics;
  const wrong = state === "lost" || stale;
  if (lost.hidden === wrong) lost.hidden = !wrong;
  if (!wrong) return;
  const age = latestAt ? Math.round((performance.now() - latestAt) / 1000) : null;
  if (age === null) write(lost, t("shell.lost_never"));
  else write(lost, t(state === "lost" ? "shell.lost" : "shell.stale", { age: fmt.seconds(age) }));
}

begin();
