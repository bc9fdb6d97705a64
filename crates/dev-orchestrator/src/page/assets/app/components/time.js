import { html } from "../html.js";
import { hasEnded } from "../api.js";
import { duration, elapsed, localTime, utcTime } from "../format.js";
import { now } from "../live/clock.js";

/** A point in time. */
export function Time({ at }) {
  if (!Number.isFinite(at)) return null;
  const utc = utcTime(at);
  return html`<time datetime=${utc} title=${utc}>${localTime(at)}</time>`;
}

/** How long ago something was, counted up. */
export function Ago({ at }) {
  if (!Number.isFinite(at)) return null;
  const utc = utcTime(at);
  return html`<time datetime=${utc} title=${`${localTime(at)} (${utc})`}>${elapsed(now.value - at)} ago</time>`;
}

/** How long a task has run, or has been running until now. */
export function RunTime({ task }) {
  if (!Number.isFinite(task.started_at)) return null;
  if (Number.isFinite(task.ended_at)) return duration(task.ended_at - task.started_at);
  return hasEnded(task) || task.status !== "running" ? null : elapsed(now.value - task.started_at);
}
