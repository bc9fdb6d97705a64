// Where a task's time went.

import { html } from "../html.js";
import { hasEnded } from "../api.js";
import { duration, elapsed } from "../format.js";
import { now } from "../live/clock.js";
import { visible } from "../text.js";
import { Time } from "./time.js";

const PARTS = ["queued", "inputs", "handler", "outputs", "result"];

/** @param {{task: any, story: any}} props */
export function Timeline({ task, story }) {
  const parts = partsOf(task, story?.durations ?? {});
  const total = parts.reduce((sum, { seconds }) => sum + (seconds ?? 0), 0);
  return html`<section class="panel" aria-label="Timeline">
    <header class="panel-head">
      <h2>Timeline</h2>
      ${Number.isFinite(total) && total > 0 && html`<span class="muted">${duration(total)} in all</span>`}
    </header>
    <div class="timeline-bar" aria-hidden="true">
      ${parts.map(
        ({ name, seconds }) =>
          seconds > 0 &&
          html`<i key=${name} class=${name} style=${{ flexGrow: String(Math.max(seconds / (total || 1), 0.004)) }}></i>`,
      )}
    </div>
    <ul class="timeline">
      ${parts.map(
        ({ name, seconds, text, active }) => html`<li key=${name} class=${seconds === null ? "none" : ""}>
          <i class=${name} aria-hidden="true"></i>
          <span class="capital">${name}</span>${" "}
          <b>${text ?? (active ? elapsed(seconds) : duration(seconds))}</b>
        </li>`,
      )}
    </ul>
    ${story?.events?.length > 0 && html`<${Events} events=${story.events} />`}
  </section>`;
}

/** The five parts with their time; what goes on now grows. */
function partsOf(task, known) {
  const ended = hasEnded(task);
  const active = task.status === "queued" ? "queued" : task.status === "running" ? "handler" : null;
  const guessed = {
    queued: Number.isFinite(task.started_at) ? task.started_at - task.submitted_at : null,
    handler:
      Number.isFinite(task.started_at) && Number.isFinite(task.ended_at) ? task.ended_at - task.started_at : null,
  };
  return PARTS.map((name) => {
    let seconds = known[name] ?? null;
    if (active === name) {
      const since = name === "queued" ? task.submitted_at : (task.started_at ?? now.value);
      seconds = Math.max(0, now.value - since);
      return { name, seconds, active: true };
    }
    if (seconds === null && guessed[name] !== undefined) seconds = guessed[name];
    if (seconds !== null) return { name, seconds: Math.max(0, seconds) };
    const later = active && PARTS.indexOf(name) > PARTS.indexOf(active);
    return { name, seconds: null, text: !ended && later ? "not yet" : "not seen" };
  });
}

const WORDS = {
  submitted: "Submitted",
  offered: "Offered to a worker",
  delivered: "Delivered",
  inputs_fetched: "Inputs fetched",
  started: "Started",
  progress: "Progress",
  outputs_sent: "Outputs sent",
  result: "Result",
  requeued: "Back in the queue",
  retried: "Retried",
  cancel_requested: "Cancel requested",
  cancelled: "Cancelled",
  fault: "Fault",
};

function Events({ events }) {
  return html`<details class="events">
    <summary>${events.length} ${events.length === 1 ? "event" : "events"}</summary>
    <ol>
      ${events.slice(-200).map(
        (event) => html`<li key=${event.n}>
          <${Time} at=${event.at} />
          <span class="muted number">+${duration(event.seconds ?? 0)}</span>
          <span><b>${WORDS[event.event] ?? visible(event.event)}</b> ${more(event)}</span>
        </li>`,
      )}
    </ol>
  </details>`;
}

function more(event) {
  const progress = event.event === "progress" && typeof event.progress === "number";
  const words = [
    progress ? `${Math.round(event.progress * 100)}%` : null,
    event.message,
    event.status,
    event.error?.code,
    event.error?.message,
    event.reason,
    event.name,
    event.as && `as ${event.as}`,
    event.worker_id && `worker ${event.worker_id}`,
  ];
  return html`<span class="muted">${visible(words.filter(Boolean).join(" · ").slice(0, 500))}</span>`;
}
