// Dark or light: the system's, until one is chosen here.

import { keep, read } from "./words.js";

const KEPT = "haechi.theme";
const system = matchMedia("(prefers-color-scheme: light)");
const listeners = new Set();

export function themeNow() {
  const kept = read(KEPT);
  if (kept === "dark" || kept === "light") return kept;
  return system.matches ? "light" : "dark";
}

export function applyTheme() {
  document.documentElement.dataset.theme = themeNow();
  for (const listener of listeners) listener();
}

export function switchTheme() {
  keep(KEPT, themeNow() === "dark" ? "light" : "dark");
  applyTheme();
}

/** Called when colours have changed. */
export function onTheme(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

system.addEventListener("change", applyTheme);
