// A list of tasks that match a filter, as long as the server has it, newest first.
//
// Pages are loaded when they are scrolled to. What changes meanwhile is put into its place here; where only the server
// can know (a text that is searched for, a task that this page has never seen), the first page is asked for again.

import { signal } from "@preact/signals";
import { getJson } from "../api.js";
import { link } from "../router.js";
import { onChanges, tasks } from "./store.js";
import { paused } from "./pause.js";

/** @typedef {import("./store.js").Task} Task */
/** @typedef {{status?: string, type?: string, worker?: string, q?: string}} Filter */

const FIRST_PAGE = 100;
const NEXT_PAGE = 1000;
const ASK_AGAIN = 2000;

export class TaskList {
  /** @param {Filter} filter */
  constructor(filter) {
    this.filter = filter;
    this.statuses = words(filter.status);
    this.types = words(filter.type);
    /** @type {string[]} ids in the order of the list */
    this.order = [];
    /** @type {Map<string, Task>} */
    this.views = new Map();
    this.next = null;
    /** Whether the first page is here. */
    this.loaded = false;
    /** How many match, loaded or not. */
    this.total = 0;
    this.error = signal(null);
    /** Counts up with each change. */
    this.version = signal(0);
    /** @type {Promise<void>|null} */
    this.loading = null;
    /** Counts up when everything is loaded anew, so that an answer from before is not mixed in. */
    this.generation = 0;
    this.timer = 0;
    this.ended = false;
    this.stop = onChanges((changes) => this.update(changes));
    this.refresh();
  }

  /** Ends the updates. */
  close() {
    this.ended = true;
    this.stop();
    clearTimeout(this.timer);
  }

  /** @param {number} index @returns {Task|undefined} */
  at(index) {
    const id = this.order[index];
    return id === undefined ? undefined : this.views.get(id);
  }

  /** Loads pages until the row is there. */
  async reach(index) {
    if (this.loading || !this.loaded) return;
    while (!this.ended && this.order.length <= index && this.next) {
      this.loading = this.page(this.next, NEXT_PAGE);
      await this.loading;
      this.loading = null;
      if (this.error.peek()) return;
    }
  }

  /** @returns {Promise<string[]>} the ids of all that match */
  async allIds() {
    const ids = [];
    let before;
    do {
      const answer = await getJson(this.address(NEXT_PAGE, before));
      ids.push(...answer.tasks.map((task) => task.job_id));
      before = answer.next;
    } while (before);
    return [...new Set(ids)];
  }

  address(limit, before) {
    return link("/api/tasks", { ...this.filter, limit: String(limit), before });
  }

  async page(before, limit) {
    const { generation } = this;
    try {
      const answer = await getJson(this.address(limit, before));
      if (this.ended || generation !== this.generation) return;
      for (const task of answer.tasks) this.add(task);
      this.next = answer.next ?? null;
      this.total = answer.total;
      this.error.value = null;
    } catch (error) {
      this.error.value = error;
    }
    this.version.value += 1;
  }

  /** Asks for the first page again, and keeps the others. */
  async refresh() {
    this.timer = 0;
    if (this.loaded && paused.peek()) return;
    try {
      const answer = await getJson(this.address(FIRST_PAGE));
      if (this.ended) return;
      this.takeFirst(answer);
      this.error.value = null;
    } catch (error) {
      if (!this.ended) this.error.value = error;
    }
    this.version.value += 1;
  }

  /** After changes that nobody has told: everything is loaded anew, what can be seen first. */
  async restart() {
    try {
      const answer = await getJson(this.address(FIRST_PAGE));
      if (this.ended) return;
      this.generation += 1;
      this.order = [];
      this.views.clear();
      this.loaded = false;
      this.takeFirst(answer);
      this.error.value = null;
    } catch (error) {
      if (!this.ended) this.error.value = error;
    }
    this.version.value += 1;
  }

  takeFirst(answer) {
    const newest = answer.tasks[0]?.submitted_at ?? Infinity;
    const oldest = answer.tasks.at(-1)?.submitted_at ?? -Infinity;
    const here = new Set(answer.tasks.map((task) => task.job_id));
    // What the server no longer lists among the newest does not match any more. What came after its answer may.
    const gone = this.order.filter((id) => {
      const at = this.views.get(id).submitted_at;
      return !here.has(id) && at <= newest && (at > oldest || !answer.next);
    });
    for (const id of gone) this.remove(id);
    for (const task of answer.tasks) this.add(task);
    if (!this.loaded || !answer.next) this.next = answer.next ?? null;
    this.total = Math.max(answer.total, this.order.length);
    this.loaded = true;
  }

  refreshSoon() {
    this.timer ||= setTimeout(() => this.refresh(), ASK_AGAIN);
  }

  /** @param {import("./store.js").Changes} changes */
  update(changes) {
    if (!this.loaded) return;
    if (changes.reloaded) {
      this.restart();
      return;
    }
    let changed = false;
    for (const [id, { task, before }] of changes.tasks) {
      if (this.views.has(id)) {
        changed = true;
        if (this.matches(task)) this.views.set(id, task);
        else {
          this.remove(id);
          this.total -= 1;
        }
      } else if (this.mayMatch(task)) changed = this.newcomer(task, before) || changed;
    }
    if (changed) this.version.value += 1;
  }

  /** @returns {boolean} whether the list is another one than before */
  newcomer(task, before) {
    if (this.filter.q) {
      this.refreshSoon();
      return false;
    }
    const matched = before && this.matches(before);
    if (this.matches(task)) {
      if (matched) return false; // Further down, where it was not loaded yet.
      const last = this.at(this.order.length - 1);
      if (!this.next || !last || task.submitted_at >= last.submitted_at) this.add(task);
      else if (!before) this.refreshSoon();
      this.total += 1;
      return true;
    }
    if (matched) this.total -= 1;
    else if (!before) this.refreshSoon();
    return Boolean(matched);
  }

  /** @param {Task} task */
  matches(task) {
    return (
      this.mayMatch(task) &&
      (!this.statuses || this.statuses.includes(task.status)) &&
      (!this.filter.worker || this.filter.worker === task.worker_id)
    );
  }

  // A type never changes.
  mayMatch(task) {
    return !this.types || this.types.includes(task.type);
  }

  add(task) {
    // The stream may be ahead of an answer.
    const known = tasks.get(task.job_id);
    const newer = known && known.attempts >= task.attempts && this.matches(known);
    if (this.views.has(task.job_id)) {
      if (!newer) this.views.set(task.job_id, task);
      return;
    }
    this.views.set(task.job_id, newer ? known : task);
    const { order } = this;
    let low = 0;
    let high = order.length;
    // After those of the same time while pages are loaded; before older ones.
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.views.get(order[middle]).submitted_at >= task.submitted_at) low = middle + 1;
      else high = middle;
    }
    order.splice(low, 0, task.job_id);
  }

  remove(id) {
    this.views.delete(id);
    const at = this.order.indexOf(id);
    if (at >= 0) this.order.splice(at, 1);
  }
}

const words = (text) => (text ? text.split(",").map((word) => word.trim()) : null);
