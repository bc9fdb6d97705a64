// A JSON value of a task in a panel of its own: read, searched, copied, downloaded.

import { useEffect, useMemo, useState } from "preact/hooks";
import { html } from "../html.js";
import { size } from "../format.js";
import { readJson } from "../json/read.js";
import { ancestors, find, openAll, openAtFirst, visibleRows } from "../json/rows.js";
import { byteLength, firstBytes, visibleLines } from "../text.js";
import { CopyButton } from "./copy.js";
import { Icon } from "./icon.js";
import { JsonTree } from "./json-tree.js";

/** So much of a value is shown. The rest can be downloaded. */
const SHOWN = 256 * 1024;

/**
 * @param {{name: string, text: string|undefined, nothing: string, file?: string, children?: any, tone?: string}} props
 *   `name` is the panel's heading, `text` the value as it was sent, `nothing` what is said without one.
 */
export function JsonPanel({ name, text, nothing, file = name.toLowerCase(), children, tone = "" }) {
  if (text === undefined) {
    return html`<section class="panel slim" aria-label=${name}>
      <h2>${name}</h2>
      <p class="muted">${nothing}</p>
    </section>`;
  }
  return html`<section class=${`panel ${tone}`} aria-label=${name}>
    <${Json} name=${name} text=${text} file=${file}>${children}<//>
  </section>`;
}

/** The heading, the tools and the tree of a value, for a region that somebody else draws. */
export function Json({ name, text, file, children }) {
  const bytes = useMemo(() => byteLength(text), [text]);
  const cut = bytes > SHOWN;
  const root = useMemo(() => read(text, cut), [text]);
  const [open, setOpen] = useState(() => (root ? openAtFirst(root) : new Set()));
  const [words, setWords] = useState("");
  const [position, setPosition] = useState(0);

  useEffect(() => {
    if (root) setOpen(openAtFirst(root));
    setPosition(0);
  }, [root]);
  const found = useMemo(() => (root && words ? find(root, words) : []), [root, words]);
  const current = found.length ? found[position % found.length] : null;
  useEffect(() => {
    if (current !== null) setOpen((before) => new Set([...before, ...ancestors(current)]));
  }, [current]);
  const rows = useMemo(() => (root ? visibleRows(root, open) : []), [root, open]);
  const toggle = (id, unfold) =>
    setOpen((before) => {
      const after = new Set(before);
      if (unfold) after.add(id);
      else after.delete(id);
      return after;
    });

  const lower = name.toLowerCase();
  return html`
    <header class="panel-head">
      <h2>${name}</h2>
      <span class="muted">${cut ? `first ${size(SHOWN)} of ${size(bytes)}` : size(bytes)}</span>
      <div class="panel-tools">
        <button type="button" class="button small" onClick=${() => setOpen(new Set())}>Fold all</button>
        <button type="button" class="button small" onClick=${() => root && setOpen(openAll(root))}>Unfold all</button>
        <${CopyButton} class="small" label=${`Copy ${lower}`} short="Copy" text=${() => text} />
        <${Download} name=${lower} text=${text} file=${`${file}.json`} />
      </div>
    </header>
    ${children}
    <${Search}
      name=${name}
      words=${words}
      found=${found.length}
      position=${found.length ? (position % found.length) + 1 : 0}
      onWords=${(next) => {
        setWords(next);
        setPosition(0);
      }}
      onStep=${(step) => setPosition((before) => (before + step + found.length) % Math.max(1, found.length))}
    />
    ${
      root
        ? html`<${JsonTree}
            label=${name}
            rows=${rows}
            open=${open}
            toggle=${toggle}
            words=${words.toLowerCase()}
            found=${new Set(found)}
            current=${current}
          />`
        : html`<pre class="plain-text">${visibleLines(cut ? firstBytes(text, SHOWN) : text)}</pre>`
    }
  `;
}

function read(text, cut) {
  try {
    return cut ? readJson(firstBytes(text, SHOWN), { cut }) : readJson(text);
  } catch {
    // Not JSON, or nested too deep: shown as text.
    return null;
  }
}

function Search({ name, words, found, position, onWords, onStep }) {
  const onKeyDown = (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      onStep(event.shiftKey ? -1 : 1);
    }
  };
  return html`<div class="tree-search">
    <${Icon} name="search" />
    <input
      type="search"
      class="input small"
      aria-label=${`Search in ${name}`}
      placeholder=${`Search in ${name}`}
      value=${words}
      onInput=${(event) => onWords(event.target.value)}
      onKeyDown=${onKeyDown}
    />
    <span class="tree-found muted">${words && (found ? `${position} of ${found}` : "not found")}</span>
  </div>`;
}

/** @param {{name: string, text: string, file: string}} props */
function Download({ name, text, file }) {
  const [address, setAddress] = useState("");
  useEffect(() => {
    const made = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    setAddress(made);
    return () => URL.revokeObjectURL(made);
  }, [text]);
  return html`<a class="button small" href=${address || undefined} download=${file} aria-label=${`Download ${name}`}>
    <${Icon} name="download" /><span class="download-word">Download</span></a
  >`;
}
