import { html } from "../html.js";
import { duration } from "../format.js";
import { now } from "../live/clock.js";
import { taskLink } from "../router.js";
import { visible } from "../text.js";
import { RunTime, Time } from "./time.js";
import { WorkerLabel } from "./worker-label.js";

/** What is known of a task beside its payloads, as a row of facts. */
export function TaskFacts({ task }) {
  const retried = [].concat(task.retried_as ?? []);
  const facts = [
    ["Worker", task.worker_id && html`<${WorkerLabel} id=${task.worker_id} />`],
    ["Submitted", html`<${Time} at=${task.submitted_at} />`],
    ["Started", task.started_at && html`<${Time} at=${task.started_at} />`],
    ["Ended", task.ended_at && html`<${Time} at=${task.ended_at} />`],
    ["Duration", task.started_at && html`<${RunTime} task=${task} />`],
    ["Time left", timeLeft(task)],
    ["Next try", task.status === "queued" && task.retry_at && `in ${duration(Math.max(0, task.retry_at - now.value))}`],
    ["Attempts", String(task.attempts)],
    ["Priority", String(task.priority)],
    ["Result", task.result_status && task.result_status !== "success" && visible(task.result_status)],
    ["Retry of", task.of && html`<${Job} id=${task.of} />`],
    ["Retried as", retried.length > 0 && retried.map((id, at) => html`${at > 0 && ", "}<${Job} key=${id} id=${id} />`)],
    ["Job", task.job && html`${visible(task.job.name)} (${visible(task.job.state)})`],
  ];
  return html`<dl class="facts">
    ${facts.map(([name, value]) => value && html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl>
  ${task.job?.path && html`<${Path} path=${task.job.path} />`}`;
}

function timeLeft(task) {
  if (task.status !== "running" || !task.deadline) return null;
  return duration(Math.max(0, Math.round(task.deadline - now.value)));
}

function Job({ id }) {
  return html`<a href=${taskLink(id)}><code>${visible(id)}</code></a>`;
}

/** The way that a job has taken through its states. */
function Path({ path }) {
  return html`<ol class="path" aria-label="Path">
    ${path.map(
      (step, at) =>
        html`<li key=${at}><b>${visible(step.state)}</b> <span class="muted">${visible(step.status)}</span></li>`,
    )}
  </ol>`;
}
