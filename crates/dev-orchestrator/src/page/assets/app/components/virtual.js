// Rows of one height, of which only those that can be seen are drawn.

import { useEffect, useState } from "preact/hooks";
import { html } from "../html.js";

/** Rows above and below what can be seen, so that scrolling shows no gap. */
const MORE = 10;

/**
 * @param {number} count of all rows
 * @param {number} height of one, in pixels
 * @returns {{ref: any, box: HTMLElement|null, first: number, last: number, above: number, below: number,
 *   scrollBy: (rows: number) => void}}
 *   `ref` goes to the `box` that scrolls; rows from `first` to before `last` are drawn, with empty space `above` and
 *   `below`. `scrollBy` keeps what is seen in its place when rows were put in above it; at the top new rows come into sight.
 */
export function useVirtualRows(count, height) {
  const [box, ref] = useState(null);
  const [seen, setSeen] = useState({ from: 0, rows: 40 });

  useEffect(() => {
    if (!box) return undefined;
    const measure = () => {
      const from = Math.floor(box.scrollTop / height);
      const rows = Math.ceil(box.clientHeight / height) + 1;
      setSeen((before) => (before.from === from && before.rows === rows ? before : { from, rows }));
    };
    const observer = new ResizeObserver(measure);
    observer.observe(box);
    box.addEventListener("scroll", measure, { passive: true });
    measure();
    return () => {
      observer.disconnect();
      box.removeEventListener("scroll", measure);
    };
  }, [box, height]);

  const first = Math.max(0, Math.min(seen.from - MORE, count - seen.rows - MORE));
  const last = Math.min(count, seen.from + seen.rows + MORE);
  return {
    ref,
    box,
    first,
    last: Math.max(first, last),
    above: first * height,
    below: Math.max(0, count - Math.max(first, last)) * height,
    scrollBy: (rows) => {
      if (box && box.scrollTop > 0) box.scrollTop += rows * height;
    },
  };
}

/** A row in place of those that are not drawn. */
export function SpaceRow({ height, columns }) {
  if (height === 0) return null;
  return html`<tr class="space" aria-hidden="true"><td colspan=${columns} style=${{ height: `${height}px` }}></td></tr>`;
}
