// What the parts of the tab say about a storm, a sink, their ports.

import { el } from "../lib/dom.js";
import { has, t } from "../lib/words.js";

/** A state with its sign. */
export function stateBadge(state) {
  return el("span", { class: "badge state", dataset: { kind: state }, text: stateWord(state) });
}

export function stateWord(state) {
  return has(`storm.state.${state}`) ? t(`storm.state.${state}`) : state;
}

/** "514-516,600" as a set of numbers. */
export function portsOf(text) {
  const found = new Set();
  for (const part of String(text).split(",")) {
    const [first, last = first] = part.split("-").map(Number);
    for (let port = first; port <= last && found.size < 65536; port++) found.add(port);
  }
  return found;
}

const PORTS = "514-553";

export function portsText(settings) {
  return String(settings.ports ?? PORTS);
}

/** Where a storm goes, in one line. */
export function placeOf(settings) {
  const target = [settings.target ?? []].flat().join(", ");
  return `${target}:${portsText(settings)}`;
}

const HERE = /^(127\.|::1$|localhost$)/;

/** The sink of this server that a storm is sent to, one that runs if there is one. */
export function sinkOf(storm, jobs) {
  const targets = [storm.settings.target ?? []].flat();
  if (!targets.some((target) => HERE.test(target))) return null;
  const ports = portsOf(portsText(storm.settings));
  const able = [...jobs].filter(
    (job) =>
      job.kind === "sink" &&
      (job.settings.transport ?? "udp") === (storm.settings.transport ?? "udp") &&
      [...portsOf(portsText(job.settings))].some((port) => ports.has(port)),
  );
  return able.findLast((job) => job.state === "running" || job.state === "paused") ?? able.at(-1) ?? null;
}
