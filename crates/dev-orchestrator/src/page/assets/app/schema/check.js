// Checks a JSON value against a schema. The server takes every object: this is for people, before it is sent.

import { numberOf, nodeOf, sameValue, valueOf } from "../json/write.js";
import { follow } from "./resolve.js";

/** @typedef {import("../json/read.js").JsonNode} JsonNode */
/** @typedef {{path: string, text: string}} Problem */

/** Deeper schemas, for example those that contain themselves, are not checked further. */
const DEEPEST = 60;

/** @param {string} path @param {string|number} step @returns {string} the path of a value in an object or array */
export const below = (path, step) => `${path}/${encodeURIComponent(String(step))}`;

/**
 * @param {any} schema
 * @param {JsonNode} node
 * @param {any} root
 * @param {string} [path]
 * @param {number} [depth]
 * @returns {Problem[]}
 */
export function check(schema, node, root, path = "", depth = 0) {
  // A field for JSON has this while what is in it cannot be read.
  if (node.broken) return [{ path, text: "is not JSON" }];
  if (schema === false) return [{ path, text: "must not be here" }];
  if (!schema || typeof schema !== "object" || depth > DEEPEST) return [];
  const inner = (part, value = node, where = path) => check(part, value, root, where, depth + 1);
  const problems = schema.$ref ? inner(follow(schema.$ref, root)) : [];
  const types = [].concat(schema.type ?? []);
  if (types.length > 0 && !types.some((type) => hasType(node, type))) {
    return [...problems, { path, text: `expected ${types.map(named).join(" or ")}` }];
  }
  for (const text of ofKind(schema, node)) problems.push({ path, text });
  problems.push(...combined(schema, inner, path));
  if (node.kind === "object") problems.push(...ofObject(schema, node, inner, path));
  if (node.kind === "array") {
    node.items.forEach((item, at) => {
      const tuple = Array.isArray(schema.prefixItems)
        ? schema.prefixItems
        : Array.isArray(schema.items)
          ? schema.items
          : [];
      const part = tuple[at] ?? (Array.isArray(schema.items) ? schema.additionalItems : schema.items);
      problems.push(...inner(part, item, below(path, at)));
    });
  }
  return problems;
}

const NAMES = {
  object: "an object",
  array: "a list",
  string: "a text",
  number: "a number",
  integer: "a whole number",
  boolean: "true or false",
  null: "null",
};
const named = (type) => NAMES[type] ?? `\`${type}\``;

/** @param {JsonNode} node @param {string} type */
function hasType(node, type) {
  if (type === "integer") return node.kind === "number" && isWhole(node.raw);
  if (type === "boolean") return node.kind === "literal" && node.raw !== "null";
  if (type === "null") return node.kind === "literal" && node.raw === "null";
  return node.kind === type;
}

const isWhole = (raw) => /^-?[0-9]+$/.test(raw) || Number.isInteger(Number(raw));

/** @returns {Generator<string>} */
function* ofKind(schema, node) {
  if (Array.isArray(schema.enum) && !schema.enum.some((value) => sameValue(nodeOf(value), node))) {
    yield `expected one of ${schema.enum
      .slice(0, 12)
      .map((value) => JSON.stringify(value, big))
      .join(", ")}`;
  }
  if ("const" in schema && !sameValue(nodeOf(schema.const), node))
    yield `expected ${JSON.stringify(schema.const, big)}`;
  if (node.kind === "number") yield* ofNumber(schema, numberOf(node.raw));
  if (node.kind === "string") yield* ofText(schema, node.value);
  if (node.kind === "array") {
    const count = node.items.length;
    if (count < schema.minItems) yield `expected at least ${schema.minItems} items`;
    if (count > schema.maxItems) yield `expected at most ${schema.maxItems} items`;
    if (
      schema.uniqueItems &&
      node.items.some((item, at) => node.items.slice(0, at).some((other) => sameValue(item, other)))
    ) {
      yield "expected no item twice";
    }
  }
}

const big = (_, value) => (typeof value === "bigint" ? String(value) : value);

/** @param {any} schema @param {number|bigint} value compares exactly, also beyond 2^53 */
function* ofNumber(schema, value) {
  if (value < schema.minimum) yield `expected at least ${schema.minimum}`;
  if (value > schema.maximum) yield `expected at most ${schema.maximum}`;
  if (typeof schema.exclusiveMinimum !== "boolean" && value <= schema.exclusiveMinimum)
    yield `expected more than ${schema.exclusiveMinimum}`;
  if (typeof schema.exclusiveMaximum !== "boolean" && value >= schema.exclusiveMaximum)
    yield `expected less than ${schema.exclusiveMaximum}`;
  if (schema.multipleOf && !isMultiple(value, schema.multipleOf)) yield `expected a multiple of ${schema.multipleOf}`;
}

function isMultiple(value, unit) {
  if (Number.isInteger(Number(unit)) && (typeof value === "bigint" || Number.isInteger(value)))
    return BigInt(value) % BigInt(unit) === 0n;
  const times = Number(value) / Number(unit);
  return Math.abs(times - Math.round(times)) < 1e-9 * Math.max(1, Math.abs(times));
}

const FORMATS = {
  email: [/^[^\s@]+@[^\s@]+$/, "an address such as name@example.org"],
  uri: [/^[a-z][a-z0-9+.-]*:\S+$/i, "an address such as https://example.org"],
  uuid: [/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i, "a UUID"],
  date: [/^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$/, "a date such as 2026-01-31"],
  time: [/^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?$/i, "a time such as 12:30:00"],
  "date-time": [
    /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[Tt ]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i,
    "a time such as 2026-01-31T12:30:00Z",
  ],
  ipv4: [/^(25[0-5]|2[0-4]\d|1?\d?\d)(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}$/, "an IPv4 address"],
};

/** @param {any} schema @param {string} value */
function* ofText(schema, value) {
  // Characters, not halves of them.
  const length = schema.minLength || schema.maxLength !== undefined ? [...value].length : 0;
  if (length < schema.minLength) yield `expected at least ${schema.minLength} characters`;
  if (length > schema.maxLength) yield `expected at most ${schema.maxLength} characters`;
  if (typeof schema.pattern === "string" && !matches(schema.pattern, value))
    yield `expected a text like \`${schema.pattern}\``;
  const format = FORMATS[schema.format];
  if (format && !format[0].test(value)) yield `expected ${format[1]}`;
}

function matches(pattern, value) {
  try {
    return new RegExp(pattern, "u").test(value);
  } catch {
    return true; // The worker's language knows patterns that a browser does not.
  }
}

function combined(schema, inner, path) {
  const problems = (schema.allOf ?? []).flatMap((part) => inner(part));
  for (const word of ["anyOf", "oneOf"]) {
    if (!Array.isArray(schema[word])) continue;
    const answers = schema[word].map((part) => inner(part));
    const fitting = answers.filter((answer) => answer.length === 0).length;
    if (fitting === 0) {
      // The alternative that is closest says most.
      const closest = answers.reduce((best, answer) => (answer.length < best.length ? answer : best), answers[0] ?? []);
      problems.push(
        ...(schema[word].length <= 2 && closest.length
          ? closest
          : [{ path, text: "fits none of the alternatives of its schema" }]),
      );
    } else if (word === "oneOf" && fitting > 1)
      problems.push({ path, text: "fits more than one alternative of its schema" });
  }
  if (schema.not && inner(schema.not).length === 0) problems.push({ path, text: "is what its schema excludes" });
  return problems;
}

function ofObject(schema, node, inner, path) {
  const problems = [];
  const properties = schema.properties ?? {};
  for (const name of schema.required ?? []) {
    if (valueOf(node, name) === undefined) problems.push({ path: below(path, name), text: "is required" });
  }
  const patterns = Object.entries(schema.patternProperties ?? {});
  for (const name of new Set(node.entries.map((entry) => entry.key))) {
    const value = valueOf(node, name);
    const where = below(path, name);
    const own = Object.hasOwn(properties, name);
    if (own) problems.push(...inner(properties[name], value, where));
    const fitting = patterns.filter(([pattern]) => matches(pattern, name));
    for (const [, part] of fitting) problems.push(...inner(part, value, where));
    if (own || fitting.length > 0) continue;
    if (schema.additionalProperties === false) problems.push({ path: where, text: "is not a field of this type" });
    else problems.push(...inner(schema.additionalProperties, value, where));
  }
  return problems;
}

/** @param {Problem} problem @returns {string} with the name of the value: `size/0/width: expected a whole number` */
export function spelledOut({ path, text }) {
  const name = path.split("/").slice(1).map(decodeURIComponent).join("/");
  return name ? `\`${name}\` ${/^(is|must|fits)/.test(text) ? "" : ": "}${text}`.replace("` : ", "`: ") : text;
}
