// Requests to the server. What goes wrong is an `ApiError` whose text can be shown as it is.

/** A request that failed: with the server's own words where it sent some. */
export class ApiError extends Error {
  /** @param {string} message @param {number} [status] 0 when there was no answer */
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/** @param {string} text @param {Response} response */
function refusal(text, response) {
  try {
    const { error } = JSON.parse(text);
    if (typeof error === "string") return error;
  } catch {
    // Not from the server itself, for example from a proxy: its status has to do.
  }
  return `the server answered ${response.status} ${response.statusText}`.trim();
}

/**
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<Response>}
 */
export async function request(path, options) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("the server cannot be reached: is `avtomatika dev` still running?");
  }
  if (!response.ok) throw new ApiError(refusal(await response.text(), response), response.status);
  return response;
}

/** @param {string} path @param {RequestInit} [options] @returns {Promise<any>} */
export async function getJson(path, options) {
  return (await request(path, options)).json();
}

/** @param {string} path @param {RequestInit} [options] @returns {Promise<string>} the answer as it was sent */
export async function getText(path, options) {
  return (await request(path, options)).text();
}

/**
 * @param {"POST"|"PUT"} method
 * @param {string} path
 * @param {string} body JSON as text, so that no number passes through a float
 * @returns {Promise<any>}
 */
export async function send(method, path, body) {
  const headers = { "content-type": "application/json" };
  return (await request(path, { method, headers, body })).json();
}

/** @param {string} uri `s3://bucket/key` @returns {string|null} where the server has that file for people */
export function fileLink(uri) {
  const found = /^s3:\/\/([^/]+)\/(.+)$/s.exec(uri);
  if (!found) return null;
  const key = found[2].split("/").map(encodeURIComponent).join("/");
  return `/api/files/${encodeURIComponent(found[1])}/${dotsEncoded(key)}`;
}

// A browser takes `..` and `.` out of a path before it sends it, while a key may have them as names.
const dotsEncoded = (key) =>
  key.replace(/(^|\/)(\.{1,2})(?=\/|$)/g, (_, slash, dots) => slash + dots.replaceAll(".", "%2E"));

/** The statuses of tasks, in the order of a task's life. */
export const STATUSES = ["queued", "running", "finished", "failed", "quarantined", "cancelled"];
/** The statuses that are final. */
export const ENDED = ["finished", "failed", "quarantined", "cancelled"];
/** @param {{status: string}} task */
export const hasEnded = (task) => ENDED.includes(task.status);
