// A tree of a JSON value: folded, walked with the arrow keys, and never more rows at once than a browser can bear.

import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { counted } from "../format.js";
import { childCount, isContainer, shownValue } from "../json/rows.js";
import { visible } from "../text.js";
import { Icon } from "./icon.js";

/** @typedef {import("../json/rows.js").Row} Row */

/** A text beyond this length is cut, until all of it is asked for. */
const LONG = 10_000;
/** So many rows are drawn at once. */
const DRAWN = 500;

/**
 * @param {{label: string, rows: Row[], open: Set<string>, toggle: (id: string, open: boolean) => void,
 *   words: string, found: Set<string>, current: string|null}} props
 *   `current` is the row that a search has led to.
 */
export function JsonTree({ label, rows, open, toggle, words, found, current }) {
  const [start, setStart] = useState(0);
  const [focused, setFocused] = useState(null);
  const box = useRef(null);

  useEffect(() => {
    if (current === null) return;
    const at = rows.findIndex((row) => row.id === current);
    if (at < 0) return;
    if (at < start || at >= start + DRAWN) setStart(Math.max(0, at - 20));
    requestAnimationFrame(() => box.current?.querySelector("[data-current]")?.scrollIntoView({ block: "nearest" }));
  }, [current, rows]);

  const from = Math.min(start, Math.max(0, rows.length - 1));
  const shown = rows.slice(from, from + DRAWN);
  const tabStop = shown.some((row) => row.id === focused) ? focused : shown[0]?.id;

  const move = (row) => {
    if (!row) return;
    setFocused(row.id);
    const at = shown.indexOf(row);
    box.current?.querySelectorAll("[role=treeitem]")[at]?.focus();
  };
  const onKeyDown = (event) => {
    const at = shown.findIndex((row) => row.id === tabStop);
    const row = shown[at];
    if (!row || event.target.closest("button")) return;
    const folds = isContainer(row.node) && childCount(row.node) > 0;
    const keys = {
      ArrowDown: () => move(shown[at + 1]),
      ArrowUp: () => move(shown[at - 1]),
      Home: () => move(shown[0]),
      End: () => move(shown.at(-1)),
      ArrowRight: () => (folds && !open.has(row.id) ? toggle(row.id, true) : folds && move(shown[at + 1])),
      ArrowLeft: () =>
        folds && open.has(row.id) ? toggle(row.id, false) : move(shown.find(({ id }) => id && id === row.parent)),
      Enter: () => folds && toggle(row.id, !open.has(row.id)),
      " ": () => folds && toggle(row.id, !open.has(row.id)),
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  };
  if (rows.length === 0) return html`<p class="muted tree-empty">Empty</p>`;
  return html`<div class="tree-box">
    ${from > 0 && html`<${More} text="Show what is above" onPress=${() => setStart(Math.max(0, from - DRAWN))} />`}
    <div class="tree" role="tree" aria-label=${label} ref=${box} onKeyDown=${onKeyDown}>
      ${shown.map(
        (row) => html`<${TreeRow}
          key=${row.id}
          row=${row}
          isOpen=${open.has(row.id)}
          toggle=${toggle}
          words=${found.has(row.id) ? words : ""}
          isCurrent=${row.id === current}
          isTabStop=${row.id === tabStop}
          onFocus=${() => setFocused(row.id)}
        />`,
      )}
    </div>
    ${
      from + DRAWN < rows.length &&
      html`<${More}
        text=${`Show ${counted(Math.min(DRAWN, rows.length - from - DRAWN), "more row")} of ${rows.length}`}
        onPress=${() => setStart(from + DRAWN)}
      />`
    }
  </div>`;
}

function More({ text, onPress }) {
  return html`<button type="button" class="button small tree-more" onClick=${onPress}>${text}</button>`;
}

function TreeRow({ row, isOpen, toggle, words, isCurrent, isTabStop, onFocus }) {
  const { node, depth, label, index } = row;
  const folds = isContainer(node) && childCount(node) > 0;
  return html`<div
    class=${`tree-row ${isCurrent ? "current" : ""}`}
    style=${{ "--depth": String(Math.max(0, depth - 1)) }}
    role="treeitem"
    aria-level=${Math.max(1, depth)}
    aria-expanded=${folds ? isOpen : undefined}
    aria-selected=${isCurrent}
    tabindex=${isTabStop ? 0 : -1}
    data-current=${isCurrent ? "" : undefined}
    onFocus=${onFocus}
    onClick=${folds ? () => toggle(row.id, !isOpen) : undefined}
  >
    <span class="tree-fold">${folds && html`<${Icon} name="right" class=${isOpen ? "open" : ""} />`}</span>
    ${label !== null && html`<span class="tree-key"><${Marked} text=${visible(label)} words=${words} />: </span>`}
    ${index !== null && html`<span class="tree-index">${index}: </span>`}
    ${isContainer(node) ? html`<${Summary} node=${node} />` : html`<${Value} node=${node} words=${words} whole=${isCurrent} />`}
  </div>`;
}

function Summary({ node }) {
  const count = childCount(node);
  const brackets = node.kind === "object" ? "{}" : "[]";
  if (count === 0 && !node.cut) return html`<span class="tree-summary">${brackets}</span>`;
  const what = counted(count, node.kind === "object" ? "key" : "item");
  return html`<span class="tree-summary">${brackets[0]} ${what}${node.cut ? ", cut" : ""} ${brackets[1]}</span>`;
}

function Value({ node, words, whole }) {
  const [all, setAll] = useState(false);
  const text = shownValue(node);
  const cut = text.length > LONG && !all && !whole;
  const showAll = (event) => {
    event.stopPropagation();
    setAll(true);
  };
  return html`<span class=${`tree-value ${node.kind}`}
    ><${Marked} text=${cut ? `${text.slice(0, LONG)}…` : text} words=${words} />
    ${
      cut &&
      html` <button type="button" class="button small" onClick=${showAll}>Show all</button>
        <span class="muted"> ${counted(text.length, "character")}</span>`
    }
  </span>`;
}

/** A text in which the words that are searched for are marked. */
function Marked({ text, words }) {
  if (!words) return text;
  const parts = [];
  const lower = text.toLowerCase();
  let at = 0;
  // A text whose length changes in lower case cannot be marked by place.
  if (lower.length !== text.length) return text;
  for (let next = lower.indexOf(words); next >= 0 && parts.length < 200; next = lower.indexOf(words, at)) {
    parts.push(text.slice(at, next), html`<mark>${text.slice(next, next + words.length)}</mark>`);
    at = next + words.length;
  }
  parts.push(text.slice(at));
  return parts;
}
