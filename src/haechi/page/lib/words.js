// What the page says: words/LANGUAGE/NAME.json holds NAME's words; t("NAME.key", {n: 3}) fills {n} in. A word may be
// {"one": "...", "other": "..."}, chosen by the value n. Numbers and times are written by Intl in the same language.

const NAMES = ["shell", "storm", "detect", "trials"];
const KEPT = "haechi.language";
export const LANGUAGES = { en: "English", ko: "한국어" };

let language = "en";
let words = new Map();
let plural = new Intl.PluralRules("en");
let tell;

/** Resolves when there are words for the first time. */
export const wordsLoaded = new Promise((resolve) => {
  tell = resolve;
});

/** The one that was chosen here before, else the browser's, else English. */
export function chosenLanguage() {
  const kept = read(KEPT);
  if (kept in LANGUAGES) return kept;
  const known = (navigator.languages ?? [navigator.language]).map((name) => name.slice(0, 2).toLowerCase());
  return known.find((name) => name in LANGUAGES) ?? "en";
}

export function keepLanguage(name) {
  keep(KEPT, name);
}

export async function loadWords(name) {
  const found = await Promise.all(NAMES.map((part) => wordsOf(name, part)));
  words = new Map(found.flat());
  language = name;
  plural = new Intl.PluralRules(name);
  makers.clear();
  document.documentElement.lang = name;
  tell();
}

async function wordsOf(name, part) {
  const answer = await fetch(new URL(`../words/${name}/${part}.json`, import.meta.url));
  if (!answer.ok) return [];
  return Object.entries(await answer.json()).map(([key, word]) => [`${part}.${key}`, word]);
}

export function t(key, values = {}) {
  let word = words.get(key);
  if (word === undefined) return key;
  if (typeof word === "object") word = word[plural.select(Number(values.n))] ?? word.other;
  return word.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

export function has(key) {
  return words.has(key);
}

export function languageNow() {
  return language;
}

const makers = new Map();

function numbers(name, settings) {
  if (!makers.has(name)) makers.set(name, new Intl.NumberFormat(language, settings));
  return makers.get(name);
}

function times(name, settings) {
  if (!makers.has(name)) makers.set(name, new Intl.DateTimeFormat(language, settings));
  return makers.get(name);
}

const NOTHING = "–";
const missing = (n) => n === null || n === undefined || Number.isNaN(n);
const SIZES = [
  [1e12, "T"],
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
];

/** Places for three digits, as the number is when it was rounded to them. */
function digits(n) {
  const size = Number(Math.abs(n).toPrecision(3));
  return size >= 100 ? 0 : size >= 10 ? 1 : 2;
}

function fixed(n, most = digits(n)) {
  return numbers(`fixed${most}`, { minimumFractionDigits: most, maximumFractionDigits: most }).format(n);
}

/** Numbers as an operator reads them: 3 significant digits and a unit; "–" where nothing is known. */
export const fmt = {
  /** Events a second: 4.00 M */
  rate(n) {
    if (missing(n)) return NOTHING;
    for (const [size, sign] of SIZES) if (Math.abs(n) >= size * 0.9995) return `${fixed(n / size)} ${sign}`;
    return fixed(n, Math.abs(n) < 10 && n % 1 ? 1 : 0);
  },
  /** Bytes: 1.25 GB */
  bytes(n) {
    if (missing(n)) return NOTHING;
    for (const [size, sign] of SIZES) if (Math.abs(n) >= size * 0.9995) return `${fixed(n / size)} ${sign}B`;
    return `${fixed(n, 0)} B`;
  },
  /** A ratio of 0.995 as 99.5 % */
  percent(x, most) {
    if (missing(x)) return NOTHING;
    const n = x * 100;
    const places = most ?? (n === 0 ? 0 : Math.abs(n) < 0.1 ? 3 : Math.abs(n) < 10 ? 2 : 1);
    return `${fixed(n, places)} %`;
  },
  /** A whole number: 12,345 */
  count(n) {
    return missing(n) ? NOTHING : fixed(n, 0);
  },
  /** With so many places: 3.14 */
  number(n, places = 2) {
    return missing(n) ? NOTHING : fixed(n, places);
  },
  /** A point in time, today's without the date: 14:03:22 */
  time(iso) {
    if (!iso) return NOTHING;
    const when = new Date(iso);
    if (Number.isNaN(when.getTime())) return String(iso);
    const clock = times("clock", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }).format(when);
    if (when.toDateString() === new Date().toDateString()) return clock;
    return `${times("day", { year: "numeric", month: "2-digit", day: "2-digit" }).format(when)} ${clock}`;
  },
  /** A length of time: 850 ms, 12.5 s, 4:05, 1:02:03 */
  seconds(s) {
    if (missing(s)) return NOTHING;
    if (s < 60) return s < 1 ? fmt.micros(s * 1e6) : `${fixed(s, s < 10 ? 1 : 0)} s`;
    const whole = Math.floor(s);
    const two = (n) => String(n).padStart(2, "0");
    const [h, m] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
    return h ? `${h}:${two(m)}:${two(whole % 60)}` : `${m}:${two(whole % 60)}`;
  },
  /** A short length of time, given in microseconds: 850 µs, 1.25 ms */
  micros(us) {
    if (missing(us)) return NOTHING;
    if (us === 0) return "0 ms";
    if (us < 1000) return `${fixed(us, 0)} µs`;
    if (us < 1e6) return `${fixed(us / 1000)} ms`;
    return `${fixed(us / 1e6)} s`;
  },
};

/** localStorage may be closed to a page; then a choice holds until it is loaded again. */
export function read(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

export function keep(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // kept for this visit only
  }
}
