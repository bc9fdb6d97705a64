// The address is the state: which view is shown, and what it is filtered by.

import { signal } from "@preact/signals";

/** @typedef {{view: string, id?: string}} Route */

const read = () => ({ path: location.pathname, query: location.search });

/** Where the page is. */
export const address = signal(read());

/** Whether the view was reached by Back or Forward: then it is shown as it was left. */
let returned = false;
export const hasReturned = () => returned;

addEventListener("popstate", () => {
  returned = true;
  address.value = read();
});

/** @param {string} to opens a view, and makes an entry of the history, so that Back returns */
export function open(to) {
  if (to === location.pathname + location.search) return;
  returned = false;
  history.pushState(null, "", to);
  address.value = read();
  document.querySelector("main")?.focus({ preventScroll: true });
  scrollTo(0, 0);
}

/** @param {string} to changes the address without an entry of the history: for filters */
export function replace(to) {
  if (to === location.pathname + location.search) return;
  history.replaceState(null, "", to);
  address.value = read();
}

/**
 * @param {string} path
 * @param {Record<string, string|null|undefined>} query entries without a value are left out
 * @returns {string}
 */
export function link(path, query = {}) {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value) words.set(name, value);
  const text = words.toString();
  return text ? `${path}?${text}` : path;
}

/** @param {string} id */
export const taskLink = (id) => `/tasks/${encodeURIComponent(id)}`;
/** @param {string} id */
export const workerLink = (id) => `/workers/${encodeURIComponent(id)}`;

/** @param {string} path @returns {Route} */
export function route(path) {
  const [first = "", second] = path.split("/").slice(1);
  if (second && (first === "tasks" || first === "workers")) {
    return { view: first === "tasks" ? "task" : "worker", id: decode(second) };
  }
  return { view: { "": "overview", new: "new" }[first] ?? first };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Lets plain clicks on links of the page's own views change the view instead of loading it anew. */
export function followLinks() {
  document.addEventListener("click", (event) => {
    const anchor = event.target instanceof Element ? event.target.closest("a") : null;
    if (!anchor || event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    if (anchor.target || anchor.hasAttribute("download") || anchor.origin !== location.origin) return;
    if (/^\/(api|assets)\//.test(anchor.pathname)) return;
    if (anchor.hash && anchor.pathname === location.pathname) return;
    event.preventDefault();
    open(anchor.pathname + anchor.search);
  });
}
