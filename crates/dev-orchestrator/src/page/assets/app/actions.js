// What a person can do with tasks.

import { getJson, getText, send } from "./api.js";
import { jobOf } from "./blueprints.js";

/** The server takes so many ids at once. */
const AT_ONCE = 10_000;

/** @param {string} id @returns {string} */
const path = (id) => `/api/tasks/${encodeURIComponent(id)}`;

/** @param {string} id @returns {Promise<any>} */
export const cancelTask = (id) => send("POST", `${path(id)}/cancel`, "{}");

/** @param {string} id @returns {Promise<{job_id: string, task_id: string, of: string}>} */
export const retryTask = (id) => send("POST", `${path(id)}/retry`, "{}");

/** @param {string[]} ids */
export const cancelAll = (ids) => inParts("/api/tasks/cancel", ids);
/** @param {string[]} ids */
export const retryAll = (ids) => inParts("/api/tasks/retry", ids);

/** @returns {Promise<{count: number, failed: {id: string, error: string}[]}>} */
async function inParts(address, ids) {
  const all = { count: 0, failed: [] };
  for (let from = 0; from < ids.length; from += AT_ONCE) {
    const answer = await send("POST", address, JSON.stringify({ ids: ids.slice(from, from + AT_ONCE) }));
    all.count += answer.count;
    all.failed.push(...(answer.failed ?? []));
  }
  return all;
}

/** @param {string} id @param {"curl"|"python"|"rust"} language @returns {Promise<string>} */
export const asText = (id, language) => getText(`${path(id)}/test?lang=${language}`);

/**
 * @param {{type: string, params: string, priority?: string, timeout?: string}} task the type as it was chosen, each other
 *   part as JSON text
 * @returns {string} the body of a request, the params byte for byte
 */
export function submission({ type, params, priority, timeout }) {
  const job = jobOf(type);
  const what = job === null ? `"type":${JSON.stringify(type)}` : `"job":${JSON.stringify(job)}`;
  const parts = [what, `"params":${params}`];
  if (priority) parts.push(`"priority":${priority}`);
  if (timeout) parts.push(`"timeout":${timeout}`);
  return `{${parts.join(",")}}`;
}

/** @param {string} body @returns {Promise<{job_id: string, task_id: string, hint?: string}>} */
export const submit = (body) => send("POST", "/api/tasks", body);

/** @param {string} uri @returns {Promise<any>} the local storage's bucket for files, by its name in the server's answers */
export async function defaultBucket() {
  const health = await getJson("/api/health").catch(() => null);
  return health?.storage?.bucket ?? health?.environment?.S3_DEFAULT_BUCKET ?? "avtomatika-payloads";
}
