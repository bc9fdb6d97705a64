// The task that is being made. It lives outside of its view, so that looking something up elsewhere loses nothing.

import { signal } from "@preact/signals";

/**
 * @typedef {{key: string, type: string, text: string, tab: "form"|"json"|null, priority: string, timeout: string,
 *   count: string, unreadable: string[], touched: boolean}} Draft `text` are the params as they would be sent,
 *   `unreadable` the names of numbers in whose fields something else stands
 */

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

/** @type {import("@preact/signals").Signal<Draft|null>} */
export const draft = signal(null);

/** @param {Partial<Draft>} part */
export function changeDraft(part) {
  if (draft.peek()) draft.value = { ...draft.peek(), ...part };
}
