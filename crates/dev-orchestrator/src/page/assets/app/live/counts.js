// How many tasks have each status.
//
// The stream tells the counts once, and then single tasks. A task that the page has not seen before may have had any
// status, so that the counts are estimated, and asked for soon after.

import { signal } from "@preact/signals";
import { getJson, hasEnded, STATUSES } from "../api.js";
import { paused } from "./pause.js";

/** The time between two questions, in milliseconds. */
const PAUSE_BETWEEN = 2000;

/** @type {import("@preact/signals").Signal<Record<string, number>>} */
export const counts = signal({});

let timer = 0;

/** @param {Record<string, number>} told */
export function countsFromSnapshot(told) {
  counts.value = { ...told };
}

/** @param {import("./store.js").Task|undefined} before @param {import("./store.js").Task} task */
export function applyCounts(before, task) {
  if (before?.status === task.status) return;
  const changed = { ...counts.peek() };
  const add = (status, number) => {
    changed[status] = Math.max(0, (changed[status] ?? 0) + number);
  };
  add(task.status, 1);
  if (before) add(before.status, -1);
  else if (task.status !== "queued" || task.attempts > 0) {
    if (hasEnded(task)) add("running", -1);
    else if (task.status === "running") add("queued", -1);
    askSoon();
  }
  counts.value = changed;
}

function askSoon() {
  timer ||= setTimeout(ask, PAUSE_BETWEEN);
}

async function ask() {
  timer = 0;
  if (paused.peek() || document.hidden) return;
  try {
    const totals = STATUSES.map((status) => getJson(`/api/tasks?limit=1&status=${status}`));
    const answers = await Promise.all(totals);
    if (paused.peek()) return;
    counts.value = Object.fromEntries(STATUSES.map((status, at) => [status, answers[at].total]));
  } catch {
    // The estimate stays until the next time, or until the snapshot after a lost connection.
  }
}
