// What the server says once a second. A connection that is lost is made again, after 0.5 s, 1 s, 2 s, 4 s at most, and
// at once when the browser says that the network is back. Figures older than three seconds are stale: connections may
// be up and say nothing.

import { api } from "./api.js";
import { sessionForm } from "./session.js";

const STALE_MS = 3000;
const PAUSES_MS = [500, 1000, 2000, 4000];

class Feed {
  #path;
  #listeners = new Set();
  #watchers = new Set();
  #socket = null;
  #timer = null;
  #stale = null;
  #tries = 0;

  constructor(path) {
    this.#path = path;
    this.latest = null;
    this.latestAt = 0; // performance.now() of the last message
    this.state = "connecting"; // open, lost
    this.stale = false;
    addEventListener("online", () => this.#again(0));
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && this.state === "lost") this.#again(0);
    });
  }

  /** Called with each message, and with the last one at once. The connection is there while somebody listens. */
  subscribe(listener) {
    this.#listeners.add(listener);
    if (this.latest !== null) listener(this.latest);
    if (this.#socket === null && this.#timer === null) this.#connect();
    return () => {
      this.#listeners.delete(listener);
      if (!this.#listeners.size) this.#rest();
    };
  }

  /** Called when `state` or `stale` have changed, and at once. */
  watch(watcher) {
    this.#watchers.add(watcher);
    watcher(this);
    return () => this.#watchers.delete(watcher);
  }

  #connect() {
    const form = sessionForm();
    if (form !== null) {
      // Refused for want of a token: trying on says nothing new.
      form.then(() => this.#again(0));
      return;
    }
    this.#timer = null;
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}${this.#path}`);
    this.#socket = socket;
    socket.onmessage = (event) => {
      if (this.#socket === socket) this.#take(event.data);
    };
    socket.onclose = () => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      this.#lose();
    };
  }

  #take(text) {
    this.latest = JSON.parse(text);
    this.latestAt = performance.now();
    this.#tries = 0;
    clearTimeout(this.#stale);
    this.#stale = setTimeout(() => this.#turn(this.state, true), STALE_MS);
    this.#turn("open", false);
    for (const listener of [...this.#listeners]) listener(this.latest);
  }

  #lose() {
    this.#turn("lost", this.latest !== null);
    if (!this.#listeners.size) return;
    // A refused key closes a socket just as a server that is gone does; a request can tell one from the other.
    const tries = this.#tries++;
    if (tries < 2) api.get("/status").then(() => tries === 0 && this.#again(0), () => {});
    this.#timer ??= setTimeout(() => this.#connect(), PAUSES_MS[Math.min(tries, PAUSES_MS.length - 1)]);
  }

  #again(pause) {
    if (this.#socket !== null || !this.#listeners.size) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), pause);
  }

  #rest() {
    clearTimeout(this.#timer);
    clearTimeout(this.#stale);
    const socket = this.#socket;
    this.#socket = this.#timer = null;
    this.latest = null;
    socket?.close();
    this.#turn("connecting", false);
  }

  #turn(state, stale) {
    if (this.state === state && this.stale === stale) return;
    this.state = state;
    this.stale = stale;
    for (const watcher of [...this.#watchers]) watcher(this);
  }
}

export const feed = { metrics: new Feed("/metrics"), kpis: new Feed("/kpi-stream") };
