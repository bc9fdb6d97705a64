import { now } from "./clock.js";

/**
 * @param {import("./store.js").Worker} worker
 * @returns {number|undefined} when its last heartbeat was, or its last request where the server says no more
 */
export function heartbeatOf(worker) {
  if (Number.isFinite(worker.last_heartbeat_at)) return worker.last_heartbeat_at;
  // `last_heard` is a time before the moment in which the server said it.
  return Number.isFinite(worker.last_heard) ? (worker.seen_at ?? now.peek()) - worker.last_heard : undefined;
}
