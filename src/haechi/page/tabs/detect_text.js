// Text that came from a log, made harmless to look at: it is never markup, and what would turn the reading
// direction round, hide letters or steer a terminal is shown by its name.

const ODD = new RegExp(
  "[\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u180e\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb]",
  "g",
);

function named(letter) {
  const code = letter.codePointAt(0);
  if (code < 0x20) {
    return String.fromCodePoint(0x2400 + code);
  }
  if (code === 0x7f) {
    return "\u2421";
  }
  return `<U+${code.toString(16).toUpperCase().padStart(4, "0")}>`;
}

/** The text with each unprintable letter replaced by its picture, or by its number. */
export function visible(text) {
  return String(text ?? "").replace(ODD, named);
}

/** At most so many letters of it, and whether that was all. */
export function head(text, letters) {
  const shown = visible(text);
  return shown.length > letters ? `${shown.slice(0, letters)}\u2026` : shown;
}

/** The line of an alert, for one row of a list; empty where it is no longer at hand. */
export function lineOf(alert) {
  return alert.lines?.[0]?.text ?? alert.template ?? "";
}

const two = (n) => String(n).padStart(2, "0");

/** When it was, short enough for a column of a list: the clock, and before it month and day where it was not today. */
export function moment(iso) {
  const when = new Date(iso ?? NaN);
  if (Number.isNaN(when.getTime())) return "\u2013";
  const clock = [when.getHours(), when.getMinutes(), when.getSeconds()].map(two).join(":");
  if (when.toDateString() === new Date().toDateString()) return clock;
  return `${two(when.getMonth() + 1)}-${two(when.getDate())} ${clock}`;
}
