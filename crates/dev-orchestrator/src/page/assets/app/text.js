// Text from elsewhere, shown so that it cannot disguise itself.

// Control characters and those that change the direction of text would show a text in another order than it is, or
// hide a part of it. A lone surrogate has no shape at all.
const CONTROL = "\\u0000-\\u001f\\u007f-\\u009f";
const DIRECTION = "\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069";
const LINES_AND_MARKS = "\\u2028\\u2029\\ufeff";
const LONE = "[\\ud800-\\udbff](?![\\udc00-\\udfff])|(?<![\\ud800-\\udbff])[\\udc00-\\udfff]";
const HIDDEN = new RegExp(`[${CONTROL}${DIRECTION}${LINES_AND_MARKS}]|${LONE}`, "g");
const SHORT = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** @param {string} character */
const escape = (character) => SHORT[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;

/** @param {unknown} text @returns {string} the text on one line, hidden characters as escapes */
export function visible(text) {
  return String(text ?? "").replace(HIDDEN, escape);
}

/** @param {unknown} text @returns {string} the text with its lines and tabs, other hidden characters as escapes */
export function visibleLines(text) {
  return String(text ?? "")
    .replace(/\r\n/g, "\n")
    .replace(HIDDEN, (character) => (character === "\n" || character === "\t" ? character : escape(character)));
}

/** @param {string} text @returns {number} its length in bytes of UTF-8 */
export function byteLength(text) {
  return new TextEncoder().encode(text).length;
}

/**
 * @param {string} text
 * @param {number} limit in bytes
 * @returns {string} as many whole characters from its beginning as fit
 */
export function firstBytes(text, limit) {
  const room = new Uint8Array(limit);
  const { read } = new TextEncoder().encodeInto(text, room);
  return text.slice(0, read);
}
