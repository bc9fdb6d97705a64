// Submitting one task, or many alike.

import { submission, submit } from "./actions.js";

/** So many requests are under way at once: the browser has six connections, and one is the stream. */
const AT_ONCE = 4;

/**
 * @param {import("./draft.js").Draft} task
 * @param {(sent: number) => void} tell
 * @returns {Promise<string[]>} the ids of the jobs
 */
export async function submitMany(task, tell) {
  const number = (text) => (text === "" ? undefined : String(Number(text)));
  const body = submission({
    type: task.type,
    params: task.text,
    priority: number(task.priority),
    timeout: number(task.timeout),
  });
  const count = Number(task.count);
  /** @type {string[]} */
  const ids = [];
  let begun = 0;
  const sender = async () => {
    while (begun < count) {
      begun += 1;
      ids.push((await submit(body)).job_id);
      tell(ids.length);
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, count) }, sender));
  } catch (error) {
    begun = count; // The others stop, too.
    if (ids.length > 0) error.message = `${error.message} (${ids.length} of ${count} were submitted)`;
    throw error;
  }
  return ids;
}
