// A JSON tree as the rows that are shown of it.

import { visible } from "../text.js";

/** @typedef {import("./read.js").JsonNode} JsonNode */
/** @typedef {{id: string, depth: number, label: string|null, index: number|null, node: JsonNode, parent: string}} Row */

/** So many rows are unfolded at first. */
const AT_FIRST = 60;

/** @param {JsonNode} node @returns {boolean} */
export const isContainer = (node) => node.kind === "object" || node.kind === "array";

/** @param {JsonNode} node @returns {number} the number of values in it */
export function childCount(node) {
  if (node.kind === "object") return node.entries.length;
  return node.kind === "array" ? node.items.length : 0;
}

/** @returns {Generator<Row>} the values right below a row */
export function* childrenOf(node, id, depth) {
  const values = node.kind === "object" ? node.entries : node.items;
  for (let at = 0; at < values.length; at += 1) {
    const child = node.kind === "object" ? values[at].value : values[at];
    const label = node.kind === "object" ? values[at].key : null;
    // The place, not the key: a key may stand twice.
    yield { id: `${id}/${at}`, depth, label, index: label === null ? at : null, node: child, parent: id };
  }
}

/** @param {JsonNode} root @returns {Row} */
const rootRow = (root) => ({ id: "", depth: 0, label: null, index: null, node: root, parent: "" });

/** @param {JsonNode} root @param {Set<string>} open ids of unfolded rows @returns {Row[]} in the order they are shown */
export function visibleRows(root, open) {
  if (!isContainer(root)) return [rootRow(root)];
  const rows = [];
  const stack = [childrenOf(root, "", 1)];
  while (stack.length > 0) {
    const { value: row, done } = stack[stack.length - 1].next();
    if (done) stack.pop();
    else {
      rows.push(row);
      if (isContainer(row.node) && open.has(row.id)) stack.push(childrenOf(row.node, row.id, row.depth + 1));
    }
  }
  return rows;
}

/** @param {JsonNode} root @returns {Generator<Row>} all values, in the order they would be shown */
export function* allRows(root) {
  if (!isContainer(root)) {
    yield rootRow(root);
    return;
  }
  const stack = [childrenOf(root, "", 1)];
  while (stack.length > 0) {
    const { value: row, done } = stack[stack.length - 1].next();
    if (done) stack.pop();
    else {
      yield row;
      if (isContainer(row.node)) stack.push(childrenOf(row.node, row.id, row.depth + 1));
    }
  }
}

/** @param {JsonNode} root @returns {Set<string>} what is unfolded at first: the upper levels, as far as they are small */
export function openAtFirst(root) {
  const open = new Set();
  if (!isContainer(root)) return open;
  let shown = childCount(root);
  let level = [...childrenOf(root, "", 1)];
  while (level.length > 0 && shown < AT_FIRST) {
    const next = [];
    for (const row of level) {
      const more = isContainer(row.node) ? childCount(row.node) : 0;
      if (more === 0 || shown + more > AT_FIRST) continue;
      shown += more;
      open.add(row.id);
      next.push(...childrenOf(row.node, row.id, row.depth + 1));
    }
    level = next;
  }
  return open;
}

/** @param {JsonNode} root @returns {Set<string>} every row that can be unfolded */
export function openAll(root) {
  const open = new Set();
  for (const row of allRows(root)) if (isContainer(row.node)) open.add(row.id);
  return open;
}

/** @param {string} id @returns {string[]} the rows that have to be unfolded for this one to be shown */
export function ancestors(id) {
  const parts = id.split("/");
  return parts.slice(1, -1).map((_, at) => parts.slice(0, at + 2).join("/"));
}

/** @param {JsonNode} node @returns {string} a value that has none below it, as it is shown */
export function shownValue(node) {
  if (node.kind === "string") {
    const text = visible(JSON.stringify(node.value));
    return node.cut ? `${text.slice(0, -1)}…` : text;
  }
  return isContainer(node) ? "" : node.raw;
}

/** @param {JsonNode} root @param {string} words @returns {string[]} ids of rows whose key or value has them */
export function find(root, words) {
  const wanted = words.toLowerCase();
  const found = [];
  for (const row of allRows(root)) {
    const { node, label } = row;
    const own = label !== null && visible(label).toLowerCase().includes(wanted);
    if (own || (!isContainer(node) && shownValue(node).toLowerCase().includes(wanted))) found.push(row.id);
  }
  return found;
}
