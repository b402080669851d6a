// The alerts that the server keeps, newest first and without a gap, fetched piece by piece: what is new when
// the feed says that there is something, what is older in the background.

export const HELD = 10_000;
const PAGE = 500;
const PIECES_AT_ONCE = 4;
const PAUSE_MS = 120;
const SEVERITIES = ["low", "medium", "high", "critical"];

export function rank(severity) {
  return Math.max(0, SEVERITIES.indexOf(severity));
}

/** What an alert's text filter looks at. Made once for each, when first asked for. */
function sought(item) {
  if (item.sought === undefined) {
    const { alert } = item;
    const expected = (alert.expected ?? []).map((one) => one.template);
    const lines = (alert.lines ?? []).map((one) => one.text ?? "");
    const parts = [...lines, alert.template, alert.session, alert.reason, alert.rule, alert.detector, ...expected];
    item.sought = parts.join("\n").toLowerCase();
  }
  return item.sought;
}

/** Whether an alert passes {severity, detector, session, job, text, state}. */
export function passes(item, wanted) {
  const { alert } = item;
  return (
    (!wanted.severity || rank(alert.severity) >= rank(wanted.severity)) &&
    (!wanted.detector || alert.detector === wanted.detector) &&
    (!wanted.job || item.job === wanted.job) &&
    (!wanted.session || alert.session.toLowerCase().includes(wanted.session.toLowerCase())) &&
    (!wanted.state || item.acknowledged === (wanted.state === "done")) &&
    (!wanted.text || sought(item).includes(wanted.text.toLowerCase()))
  );
}

/** Alerts of the same kind are muted together. */
export function sameKind(a, b) {
  return a.detector === b.detector && a.rule === b.rule && (a.template ?? "") === (b.template ?? "");
}

export class AlertStore {
  constructor(api) {
    this.api = api;
    this.items = [];
    this.byNumber = new Map();
    this.counts = {};
    this.kept = 0;
    this.older = 0;
    this.unreadable = 0;
    this.error = null;
    this.loaded = false;
    this.version = 0; // grows with every change of an item or of the list
    this.next = null; // the `before` of what is not fetched yet
    this.said = -1;
    this.busy = false;
    this.again = false;
    this.running = false;
    this.listeners = new Set();
  }

  subscribe(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  start() {
    this.running = true;
    return this.refresh(PAGE);
  }

  stop() {
    this.running = false;
  }

  /** What the feed says of alerts; fetches only where their number has changed. */
  poke(said) {
    const total = (said?.kept ?? 0) + (said?.older ?? 0);
    if (total === this.said) {
      return;
    }
    const more = this.said < 0 ? PAGE : total - this.said;
    this.said = total;
    this.refresh(Math.min(PAGE, Math.max(20, more + 10)));
  }

  /** The newest ones, down to what is here already. One at a time; a call meanwhile is made up for. */
  async refresh(limit = PAGE) {
    if (this.busy) {
      this.again = true;
      return;
    }
    this.busy = true;
    try {
      do {
        this.again = false;
        await this.#newest(limit);
        await this.#fill();
      } while (this.again && this.running);
      this.error = null;
    } catch (error) {
      this.error = error;
      this.said = -1; // the feed's next message tries again
    } finally {
      this.busy = false;
      this.#changed();
    }
  }

  async acknowledge(item) {
    this.#take(await this.api.post(`/alerts/${item.number}/acknowledge`));
  }

  async mute(item, seconds) {
    this.#take(await this.api.post(`/alerts/${item.number}/mute`, { seconds }));
    this.#mark(item, true);
  }

  async unmute(item) {
    this.#take(await this.api.delete(`/alerts/${item.number}/mute`));
    this.#mark(item, false);
  }

  /** The same alert as it stands now; null where it is not kept any more. */
  get(number) {
    return this.byNumber.get(number) ?? null;
  }

  async #newest(limit) {
    const fresh = [];
    let before = null;
    for (let piece = 0; piece < PIECES_AT_ONCE; piece += 1) {
      const page = await this.#page(piece === 0 ? limit : PAGE, before);
      if (piece === 0 && this.#isAnother(page.alerts)) {
        this.#forget();
      }
      const top = this.items[0]?.number ?? 0;
      fresh.push(...page.alerts.filter((item) => item.number > top));
      const met = page.alerts.length === 0 || page.alerts.at(-1).number <= top + 1;
      if (met || page.next === null) {
        const older = met ? this.items : [];
        this.#put(fresh, older.length ? this.next : page.next, older);
        return;
      }
      before = page.next;
    }
    // A flood: there is a gap to what was here; that is fetched again, from the gap on.
    this.#put(fresh, before, []);
  }

  async #fill() {
    while (this.running && !this.again && this.next !== null && this.items.length < HELD) {
      await new Promise((done) => setTimeout(done, PAUSE_MS));
      const page = await this.#page(Math.min(PAGE, HELD - this.items.length), this.next);
      this.#put(this.items, page.next, page.alerts);
    }
  }

  async #page(limit, before) {
    const page = await this.api.get(`/alerts?limit=${limit}${before === null ? "" : `&before=${before}`}`);
    this.counts = page.counts;
    this.kept = page.kept;
    this.older = page.older;
    this.unreadable = page.unreadable;
    return page;
  }

  /** Whether the server has begun anew: numbers are others' now. */
  #isAnother(alerts) {
    const top = this.items[0];
    if (top === undefined || alerts.length === 0) {
      return top !== undefined;
    }
    const same = alerts.find((item) => item.number === top.number);
    return alerts[0].number < top.number || (same !== undefined && same.alert.id !== top.alert.id);
  }

  #forget() {
    this.items = [];
    this.byNumber.clear();
    this.next = null;
  }

  #put(newer, next, older) {
    const items = newer.length === 0 ? older : older.length === 0 ? newer : newer.concat(older);
    const cut = items.length > HELD;
    this.items = cut ? items.slice(0, HELD) : items === this.items ? items.slice() : items;
    this.next = cut ? null : next;
    this.byNumber = new Map(this.items.map((item) => [item.number, item]));
    this.loaded = true;
    this.#changed();
  }

  #take(view) {
    const item = this.byNumber.get(view.number);
    if (item !== undefined) {
      item.acknowledged = view.acknowledged;
      item.muted = view.muted;
    }
    this.#changed();
  }

  #mark(item, muted) {
    for (const one of this.items) {
      if (sameKind(one.alert, item.alert)) {
        one.muted = muted;
      }
    }
    this.#changed();
  }

  #changed() {
    this.version += 1;
    for (const listener of this.listeners) {
      listener();
    }
  }
}
