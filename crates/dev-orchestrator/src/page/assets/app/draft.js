// The tasks that are being made. They live outside of their view, so that looking something up elsewhere, or loading the
// page anew, loses nothing.

import { effect, signal } from "@preact/signals";

/**
 * @typedef {{key: string, type: string, text: string, tab: "form"|"json"|null, priority: string, timeout: string,
 *   count: string, unreadable: string[], touched: boolean}} Draft `text` are the params as they would be sent,
 *   `unreadable` the names of numbers in whose fields something else stands
 */

const STORED_AS = "avtomatika draft";
/** So many drafts are kept beside the one that is shown. */
const KEPT = 20;

/** @param {string} key @param {string} type @returns {Draft} */
export const emptyDraft = (key, type) => ({
  key,
  type,
  text: "{}",
  tab: null,
  priority: "",
  timeout: "",
  count: "1",
  unreadable: [],
  touched: false,
});

/** @type {import("@preact/signals").Signal<Draft|null>} the one that is shown */
export const draft = signal(restored());
/** @type {Map<string, Draft>} */
const others = new Map();

effect(() => {
  try {
    if (isBegun(draft.value)) sessionStorage.setItem(STORED_AS, JSON.stringify(draft.value));
    else sessionStorage.removeItem(STORED_AS);
  } catch {
    // Too large, or not allowed: it is kept as long as the page is open.
  }
});

/** Whether somebody has typed something into it. @param {Draft|null} task */
function isBegun(task) {
  return (
    Boolean(task) && (task.touched || [task.type, task.priority, task.timeout].some(Boolean) || task.count !== "1")
  );
}

function restored() {
  try {
    return JSON.parse(sessionStorage.getItem(STORED_AS));
  } catch {
    return null;
  }
}

/** @param {Partial<Draft>} part */
export function changeDraft(part) {
  if (draft.peek()) draft.value = { ...draft.peek(), ...part };
}

/** @param {string} key @returns {boolean} whether there is a draft with this key; it is then shown */
export function openDraft(key) {
  const shown = draft.peek();
  if (shown?.key === key) return true;
  if (isBegun(shown)) others.set(shown.key, shown);
  for (const old of others.keys()) if (others.size > KEPT) others.delete(old);
  draft.value = others.get(key) ?? null;
  others.delete(key);
  return draft.value !== null;
}
