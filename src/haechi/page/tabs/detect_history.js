// Figures of running detectors out of the feed's messages: counters become rates, and the last minutes are kept,
// so that another detector's plots are whole when it is chosen.

export const SECONDS = 300;
export const LOSSES = ["malformed", "unscored", "shed", "kernel_dropped", "evicted", "untold"];

const COUNTERS = {
  malformed: "malformed_lines",
  unscored: "unscored",
  shed: "net_shed",
  kernel_dropped: "net_kernel_dropped",
  evicted: "sessions_evicted",
  untold: "alerts_over",
};

const ratio = (part, whole) => (whole > 0 ? part / whole : null);

/** What a detector says of itself, under the names of this page; null where nothing is known yet. */
export function figuresOf(said) {
  const of = said?.counters;
  if (!of) return null;
  const losses = Object.fromEntries(LOSSES.map((name) => [name, of[COUNTERS[name]] ?? 0]));
  return {
    eps: said.current_eps,
    lines: of.lines,
    memo: ratio(of.memo_hits, of.windows),
    model: ratio(of.model_windows, of.windows),
    unseen: of.unseen_lines,
    alerts: of.alerts,
    sessions: of.sessions_open,
    cpu: said.cpu_usage / 100,
    memory: said.memory_usage_bytes,
    uptime: said.uptime_seconds,
    ...losses,
  };
}

export class History {
  #before = new Map();
  #points = new Map();

  /** Takes a message of the feed; the detectors that got a point of it, by id: {t, values}. */
  take(message) {
    const t = Date.parse(message.time) / 1000;
    const fresh = new Map();
    for (const said of message.detectors ?? []) {
      if (!said.counters) continue;
      const before = this.#before.get(said.id);
      this.#before.set(said.id, { t, counters: said.counters });
      if (!before || before.t >= t) continue;
      const point = { t, values: rates(said, before, t) };
      const points = this.#points.get(said.id) ?? [];
      points.push(point);
      if (points.length > SECONDS) points.shift();
      this.#points.set(said.id, points);
      fresh.set(said.id, point);
    }
    return fresh;
  }

  points(id) {
    return this.#points.get(id) ?? [];
  }

  /** What the server has of the minutes before this page was opened: the rate alone. */
  prefill(id, { fields, rows }) {
    const points = this.#points.get(id) ?? [];
    const first = points[0]?.t ?? Infinity;
    const [at, eps] = [fields.indexOf("time"), fields.indexOf("current_eps")];
    const earlier = rows.filter((row) => row[at] < first).map((row) => ({ t: row[at], values: { eps: row[eps] } }));
    this.#points.set(id, [...earlier, ...points].slice(-SECONDS));
  }

  keep(ids) {
    for (const id of [...this.#points.keys()]) {
      if (!ids.has(id)) {
        this.#points.delete(id);
        this.#before.delete(id);
      }
    }
  }
}

/** Of the time since the message before. */
function rates(said, before, t) {
  const seconds = t - before.t;
  const grown = (name) => Math.max(0, (said.counters[name] ?? 0) - (before.counters[name] ?? 0));
  const windows = grown("windows");
  return {
    eps: said.current_eps,
    memo: windows > 0 ? (100 * grown("memo_hits")) / windows : null,
    model: windows > 0 ? (100 * grown("model_windows")) / windows : null,
    unseen: grown("unseen_lines") / seconds,
    alerts: grown("alerts") / seconds,
    ...Object.fromEntries(LOSSES.map((name) => [name, grown(COUNTERS[name]) / seconds])),
  };
}
