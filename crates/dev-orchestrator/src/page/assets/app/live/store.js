// What the page knows about the server: filled by the stream, read by the views.
//
// Events are put on a queue, and applied together once per frame of the screen: fifty events a second make no more
// work than one.

import { batch, signal } from "@preact/signals";
import { paused, waiting } from "./pause.js";
import { applyCounts, countsFromSnapshot } from "./counts.js";

/**
 * @typedef {{job_id: string, task_id: string, type: string, status: string, worker_id?: string, progress?: number,
 *   progress_message?: string, submitted_at: number, started_at?: number, ended_at?: number, attempts: number,
 *   priority: number, deadline?: number, retry_at?: number, cancel_requested?: boolean,
 *   error?: {code: string, message: string}, of?: string, retried_as?: string[]}} Task
 * @typedef {{worker_id: string, worker_type: string, status: string, tasks: string[], accepts: string[],
 *   running: string[], open_polls: number, last_heard: number, slots?: {used: number, total: number|null},
 *   hot?: string[], last_heartbeat_at?: number, registered_at?: number, software?: Record<string, string>,
 *   machine?: Record<string, any>, websocket?: boolean, protocol?: string, seen_at?: number}} Worker
 * @typedef {{tasks: Map<string, {task: Task, before: Task|undefined}>, logs: {job_id: string, line: any}[],
 *   reloaded: boolean}} Changes
 */

/** Ended tasks beyond this number are forgotten, the oldest first: lists ask the server for them. */
const KEPT = 3000;
/** With more that waits during a pause, everything is fetched anew at its end. */
const HELD = 20_000;
/** Frames do not come in a window that is covered. */
const FRAME = 250;

/** @type {Map<string, Task>} */
export const tasks = new Map();
/** @type {Map<string, Worker>} */
export const workers = new Map();
/** Counts up with each change of `tasks`, so that views which read it are drawn again. */
export const tasksVersion = signal(0);
/** The same for `workers`. */
export const workersVersion = signal(0);
/** @type {import("@preact/signals").Signal<Record<string, any>>} the switches by name */
export const faults = signal({});
/** @type {import("@preact/signals").Signal<any[]>} the last ten minutes, one entry per second */
export const stats = signal([]);
/** Whether the first snapshot is here. */
export const ready = signal(false);

const listeners = new Set();
/** @type {{kind: string, data: any}[]} */
let queue = [];
let overflowed = false;
let frame = 0;
let fallback = 0;
let reload = () => {};

/** @param {() => void} start what makes the server send a new snapshot */
export function onOverflow(start) {
  reload = start;
}

/**
 * @param {(changes: Changes) => void} listener called at most once per frame
 * @returns {() => void} ends it
 */
export function onChanges(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Takes an event from the stream. */
export function receive(kind, data) {
  if (kind === "lagged") return; // A snapshot follows.
  if (kind === "snapshot") queue = []; // It has all that waits before it.
  queue.push({ kind, data });
  if (paused.peek()) hold();
  else schedule();
}

/** Ends or begins a pause. */
export function togglePause() {
  paused.value = !paused.value;
  waiting.value = 0;
  if (paused.value) return;
  if (overflowed) {
    overflowed = false;
    queue = [];
    reload();
  }
  schedule();
}

let told = 0;

function hold() {
  if (queue.length > HELD) {
    overflowed = true;
    queue = queue.slice(-HELD / 2);
  }
  // Told once a second at most: the number is read out.
  if (told) return;
  const tell = () => {
    told = 0;
    if (paused.peek()) waiting.value = queue.filter(({ kind }) => kind !== "stats").length;
  };
  tell();
  told = setTimeout(tell, 1000);
}

function schedule() {
  if (frame) return;
  frame = requestAnimationFrame(flush);
  fallback = setTimeout(flush, FRAME);
}

function flush() {
  cancelAnimationFrame(frame);
  clearTimeout(fallback);
  frame = 0;
  if (paused.peek()) return;
  const events = queue;
  queue = [];
  /** @type {Changes} */
  const changes = { tasks: new Map(), logs: [], reloaded: false };
  batch(() => {
    for (const { kind, data } of events) apply[kind]?.(data, changes);
    if (changes.tasks.size || changes.reloaded) {
      forgetOld();
      tasksVersion.value += 1;
    }
    for (const listener of listeners) listener(changes);
  });
}

const apply = {
  snapshot(data, changes) {
    tasks.clear();
    for (const task of [...(data.tasks ?? [])].reverse()) tasks.set(task.job_id, task);
    workers.clear();
    for (const worker of data.workers ?? []) keepWorker(worker);
    workersVersion.value += 1;
    faults.value = data.faults?.faults ?? data.faults ?? {};
    countsFromSnapshot(data.counts ?? {});
    changes.reloaded = true;
    changes.tasks.clear();
    ready.value = true;
  },
  task(task, changes) {
    const before = changes.tasks.get(task.job_id)?.before ?? tasks.get(task.job_id);
    applyCounts(tasks.get(task.job_id), task);
    tasks.delete(task.job_id); // So that the map is in the order of changes.
    tasks.set(task.job_id, task);
    changes.tasks.set(task.job_id, { task, before });
  },
  progress(data, changes) {
    const task = tasks.get(data.job_id);
    if (!task || task.task_id !== data.task_id) return;
    const changed = { ...task, progress: data.progress, progress_message: data.message ?? undefined };
    tasks.set(task.job_id, changed);
    const before = changes.tasks.get(task.job_id)?.before ?? task;
    changes.tasks.set(task.job_id, { task: changed, before });
  },
  worker(worker) {
    keepWorker(worker);
    workersVersion.value += 1;
  },
  worker_gone(data) {
    workers.delete(data.worker_id);
    workersVersion.value += 1;
  },
  log(data, changes) {
    changes.logs.push({ job_id: data.job_id, line: data.line ?? data });
  },
  fault(data) {
    // Either one switch with its name, or switches by name.
    const name = data.name ?? data.fault;
    const changed = typeof name === "string" ? { [name]: { ...faults.value[name], ...data } } : (data.faults ?? data);
    faults.value = { ...faults.value, ...changed };
  },
  verdict(data) {
    const verdict = data.verdict ?? data;
    const name = verdict.fault;
    faults.value = { ...faults.value, [name]: { ...faults.value[name], verdict } };
  },
  stats(entry) {
    addStats([entry]);
  },
};

/** @param {any[]} entries in any order; they replace those of the same second */
export function addStats(entries) {
  const seconds = new Map([...stats.peek(), ...entries].map((entry) => [entry.at, entry]));
  stats.value = [...seconds.values()].sort((left, right) => left.at - right.at).slice(-600);
}

function keepWorker(worker) {
  workers.set(worker.worker_id, { ...worker, seen_at: Date.now() / 1000 });
}

function forgetOld() {
  if (tasks.size <= KEPT) return;
  for (const [id, task] of tasks) {
    if (tasks.size <= KEPT * 0.8) break;
    if (task.status !== "running" && task.status !== "queued") tasks.delete(id);
  }
  // Thousands may wait: those that were submitted last are not needed to show what runs.
  for (const [id, task] of tasks) {
    if (tasks.size <= KEPT) break;
    if (task.status !== "running") tasks.delete(id);
  }
}
