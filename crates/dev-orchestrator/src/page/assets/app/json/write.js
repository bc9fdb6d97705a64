// Writes JSON nodes with the spellings they were read with.

/** @typedef {import("./read.js").JsonNode} JsonNode */

/**
 * @param {JsonNode} node
 * @param {string} [indent] the white space before the node's closing bracket
 * @returns {string} the node over several lines, numbers and texts spelled as they were
 */
export function writeJson(node, indent = "") {
  if (node.kind !== "object" && node.kind !== "array") return node.raw;
  const inner = `${indent}  `;
  if (node.kind === "array") {
    if (node.items.length === 0) return "[]";
    const items = node.items.map((item) => inner + writeJson(item, inner));
    return `[\n${items.join(",\n")}\n${indent}]`;
  }
  if (node.entries.length === 0) return "{}";
  const entries = node.entries.map((entry) => `${inner}${entry.raw}: ${writeJson(entry.value, inner)}`);
  return `{\n${entries.join(",\n")}\n${indent}}`;
}

/** @param {string} value @returns {JsonNode} */
export function textNode(value) {
  return { kind: "string", raw: JSON.stringify(value), value };
}

/** @returns {JsonNode} an object without keys */
export function emptyObject() {
  return { kind: "object", entries: [] };
}

/**
 * @param {JsonNode|undefined} node
 * @param {string} key
 * @returns {JsonNode|undefined} the value of the key; of its last one where it stands twice, as most readers have it
 */
export function valueOf(node, key) {
  if (node?.kind !== "object") return undefined;
  for (let at = node.entries.length - 1; at >= 0; at -= 1) {
    if (node.entries[at].key === key) return node.entries[at].value;
  }
  return undefined;
}

/**
 * @param {JsonNode|undefined} node
 * @param {string} key
 * @param {JsonNode|undefined} value nothing takes the key away
 * @returns {JsonNode} a copy of the object with that value; everything else keeps its place and spelling
 */
export function withValue(node, key, value) {
  const entries = node?.kind === "object" ? [...node.entries] : [];
  const at = entries.findLastIndex((entry) => entry.key === key);
  if (value === undefined) {
    return { kind: "object", entries: entries.filter((entry) => entry.key !== key) };
  }
  if (at < 0) entries.push({ raw: JSON.stringify(key), key, value });
  else entries[at] = { ...entries[at], value };
  return { kind: "object", entries };
}

/** @param {unknown} value a value from a schema @returns {JsonNode} */
export function nodeOf(value) {
  if (Array.isArray(value)) return { kind: "array", items: value.map(nodeOf) };
  if (value && typeof value === "object") {
    const entries = Object.entries(value);
    return {
      kind: "object",
      entries: entries.map(([key, inner]) => ({ raw: JSON.stringify(key), key, value: nodeOf(inner) })),
    };
  }
  if (typeof value === "string") return textNode(value);
  if (typeof value === "number" || typeof value === "bigint") return { kind: "number", raw: String(value) };
  return { kind: "literal", raw: /** @type {any} */ (String(value)) };
}

/** @param {JsonNode} left @param {JsonNode} right @returns {boolean} whether both are the same value */
export function sameValue(left, right) {
  return canonical(left) === canonical(right);
}

/** @param {JsonNode} node @returns {string} one spelling for equal values */
function canonical(node) {
  if (node.kind === "string") return JSON.stringify(node.value);
  if (node.kind === "number") return /^-?[0-9]+$/.test(node.raw) ? String(BigInt(node.raw)) : String(Number(node.raw));
  if (node.kind === "literal") return node.raw;
  if (node.kind === "array") return `[${node.items.map(canonical).join()}]`;
  const entries = node.entries.map((entry) => `${JSON.stringify(entry.key)}:${canonical(entry.value)}`);
  return `{${entries.sort().join()}}`;
}

/**
 * @param {JsonNode} node
 * @returns {any} the value for code that computes with it: whole numbers that a float cannot hold become a `BigInt`
 */
export function plainValue(node) {
  if (node.kind === "string") return node.value;
  if (node.kind === "literal") return JSON.parse(node.raw);
  if (node.kind === "number") return numberOf(node.raw);
  if (node.kind === "array") return node.items.map(plainValue);
  // No prototype: a key may be called `__proto__`.
  const value = Object.create(null);
  for (const entry of node.entries) value[entry.key] = plainValue(entry.value);
  return value;
}

/** @param {string} raw @returns {number|bigint} a number that compares exactly with others of its kind */
export function numberOf(raw) {
  const number = Number(raw);
  return /^-?[0-9]+$/.test(raw) && !Number.isSafeInteger(number) ? BigInt(raw) : number;
}
