// What a form shows but nobody has touched: an empty list, an unchecked box. Where the schema requires them they are a
// part of what is sent.

import { emptyObject, nodeOf, valueOf, withValue } from "../json/write.js";
import { kindOf, resolve } from "../schema/resolve.js";

/** @typedef {import("../json/read.js").JsonNode} JsonNode */

const DEEPEST = 20;

/**
 * @param {any} schema of an object
 * @param {JsonNode} node
 * @param {any} root
 * @param {number} [depth]
 * @returns {JsonNode} the same node when nothing is missing
 */
export function withRequired(schema, node, root, depth = 0) {
  const own = resolve(schema, root);
  if (node.kind !== "object" || depth > DEEPEST) return node;
  let filled = node;
  for (const [name, part] of Object.entries(own.properties ?? {})) {
    const needed = (own.required ?? []).includes(name);
    const value = valueOf(filled, name) ?? (needed ? untouched(resolve(part, root)) : undefined);
    if (value === undefined) continue;
    const next = withRequired(part, value, root, depth + 1);
    if (next !== valueOf(filled, name)) filled = withValue(filled, name, next);
  }
  return filled;
}

/** @returns {JsonNode|undefined} */
function untouched(schema) {
  const kind = kindOf(schema);
  if (kind === "object") return emptyObject();
  if (kind === "array") return schema.minItems > 0 ? undefined : { kind: "array", items: [] };
  if (kind === "boolean") return nodeOf(schema.default === true);
  return undefined;
}
