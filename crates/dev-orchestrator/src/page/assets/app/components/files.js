// The files that a task's params and data name.

import { useMemo } from "preact/hooks";
import { html } from "../html.js";
import { fileLink, getJson, request } from "../api.js";
import { size } from "../format.js";
import { useResource } from "../live/resource.js";
import { link } from "../router.js";
import { visible, visibleLines } from "../text.js";
import { Icon } from "./icon.js";

/** So much of a text is shown. */
const PREVIEW = 64 * 1024;
/** So many files are shown: more than that nobody looks at. */
const SHOWN = 24;
/** Addresses are looked for in so much of a payload. */
const SEARCHED = 4 * 1024 * 1024;
const ADDRESS = /"(s3:\/\/[^"\\\s/]+\/(?:[^"\\]|\\.)+)"/g;

/** @param {Map<string, string>} texts @returns {{uri: string, from: string}[]} */
function addresses(texts) {
  const found = new Map();
  for (const from of ["params", "data"]) {
    for (const [, spelled] of (texts.get(from) ?? "").slice(0, SEARCHED).matchAll(ADDRESS)) {
      const uri = JSON.parse(`"${spelled}"`);
      if (!found.has(uri)) found.set(uri, from);
    }
  }
  return [...found].map(([uri, from]) => ({ uri, from }));
}

export function Files({ texts }) {
  const params = texts.get("params");
  const data = texts.get("data");
  const files = useMemo(() => addresses(texts), [params, data]);
  if (files.length === 0) {
    return html`<section class="panel slim" aria-label="Files">
      <h2>Files</h2>
      <p class="muted">No addresses of files in params or data.</p>
    </section>`;
  }
  return html`<section class="panel" aria-label="Files">
    <header class="panel-head"><h2>Files</h2><span class="muted">${files.length}</span></header>
    <ul class="files">
      ${files.slice(0, SHOWN).map(({ uri, from }) => {
        const Shown = uri.endsWith("/") ? Folder : File;
        return html`<${Shown} key=${uri} uri=${uri} from=${from} />`;
      })}
    </ul>
    ${files.length > SHOWN && html`<p class="muted">and ${files.length - SHOWN} more</p>`}
  </section>`;
}

/** What a file is, by its first bytes: asked for once. */
async function look(address, signal) {
  const response = await request(address, { headers: { range: `bytes=0-${PREVIEW - 1}` }, signal });
  const whole = /\/([0-9]+)$/.exec(response.headers.get("content-range") ?? "")?.[1];
  const type = (response.headers.get("content-type") ?? "").split(";")[0];
  const bytes = Number(whole ?? response.headers.get("content-length") ?? NaN);
  if (type !== "text/plain") {
    await response.body?.cancel();
    return { type, bytes };
  }
  // A character may be cut in two at the end.
  const text = new TextDecoder().decode((await response.arrayBuffer()).slice(0, PREVIEW), { stream: true });
  return { type, bytes, text };
}

/** The files below an address that ends with a slash. */
function Folder({ uri, from }) {
  const [, bucket, prefix] = /^s3:\/\/([^/]+)\/(.*)$/s.exec(uri);
  const address = link(`/api/files/${encodeURIComponent(bucket)}`, { prefix, limit: String(SHOWN) });
  const list = useResource(address, (signal) => getJson(address, { signal }));
  const files = list.value?.files ?? [];
  if (files.length > 0) return files.map((file) => html`<${File} key=${file.uri} uri=${file.uri} from=${from} />`);
  return html`<li class="file">
    <div class="file-head">
      <${Icon} name="file" />
      <span class="file-name" title=${visible(uri)}>${visible(prefix)}</span>
      <span class="muted">${list.loading ? "" : "a folder, with nothing in the local storage"} · in ${from}</span>
    </div>
  </li>`;
}

function File({ uri, from }) {
  const address = fileLink(uri);
  const file = useResource(address, (signal) => look(address, signal));
  const name = uri.split("/").filter(Boolean).at(-1);
  const found = file.value;
  const picture = /^image\/(png|jpeg|gif|webp)$/.test(found?.type ?? "");
  return html`<li class="file">
    <div class="file-head">
      <${Icon} name="file" />
      <span class="file-name" title=${visible(uri)}>${visible(name)}</span>
      <span class="muted">${describe(file)} · in ${from}</span>
      ${found && html`<a class="button small" href=${address} download=${visible(name)}><${Icon} name="download" />Download</a>`}
    </div>
    ${
      picture &&
      html`<a class="file-picture" href=${address} target="_blank" rel="noopener">
        <img src=${address} alt=${visible(name)} loading="lazy" />
      </a>`
    }
    ${
      found?.text !== undefined &&
      html`<section class="file-text" aria-label=${visible(name)} tabindex="0"><pre>${visibleLines(found.text)}</pre></section>`
    }
    ${
      found?.bytes > PREVIEW &&
      found.text !== undefined &&
      html`<p class="muted">first ${size(PREVIEW)} of ${size(found.bytes)}</p>`
    }
  </li>`;
}

function describe(file) {
  if (file.error) return file.error.status === 404 ? "not in the local storage" : visible(file.error.message);
  return file.value && Number.isFinite(file.value.bytes) ? size(file.value.bytes) : "";
}
