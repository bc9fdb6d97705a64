// Actions that failed: each stays until somebody has read it, over updates and views.

import { signal } from "@preact/signals";

let last = 0;

/** @type {import("@preact/signals").Signal<{id: number, text: string}[]>} */
export const notices = signal([]);

/** @param {string} what @param {Error|string} [why] */
export function notify(what, why) {
  const reason = why instanceof Error ? why.message : why;
  const text = reason ? `${what}: ${reason}` : what;
  last += 1;
  const others = notices.peek().filter((notice) => notice.text !== text);
  notices.value = [...others, { id: last, text }].slice(-5);
}

/** @param {number} id */
export function dismiss(id) {
  notices.value = notices.peek().filter((notice) => notice.id !== id);
}

/** Said once, politely, for what is not visible anywhere: to those who do not see a button change. */
export const announcement = signal("");

/** @param {string} text */
export function announce(text) {
  announcement.value = text;
  setTimeout(() => {
    if (announcement.peek() === text) announcement.value = "";
  }, 2000);
}
