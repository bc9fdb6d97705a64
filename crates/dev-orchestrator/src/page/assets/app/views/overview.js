import { useEffect } from "preact/hooks";
import { html } from "../html.js";
import { getJson, STATUSES } from "../api.js";
import { Count } from "../components/number.js";
import { Charts } from "../components/charts.js";
import { Progress } from "../components/progress.js";
import { Status, StatusIcon } from "../components/status.js";
import { Ago, RunTime } from "../components/time.js";
import { Welcome } from "../components/welcome.js";
import { WorkerLabel } from "../components/worker-label.js";
import { counts } from "../live/counts.js";
import { useResource } from "../live/resource.js";
import { onChanges, ready, tasks, tasksVersion, workers, workersVersion } from "../live/store.js";
import { link, taskLink } from "../router.js";
import { visible } from "../text.js";
import { useTitle } from "../title.js";

/** So many running tasks are listed. */
const RUNNING = 12;
const FAILURES = 8;

/** What goes on, at one look. */
export function OverviewView() {
  useTitle("Overview");
  const total = Object.values(counts.value).reduce((sum, number) => sum + number, 0);
  workersVersion.value;
  const nothing = ready.value && total === 0 && workers.size === 0;

  return html`<div class="view-head"><h1>Overview</h1></div>
    <ul class="counts" aria-label="Counts">
      ${STATUSES.map(
        (status) => html`<li key=${status}>
          <a href=${link("/tasks", { status })} class=${counts.value[status] ? "" : "none"}>
            <span class="count-name"><${StatusIcon} status=${status} />${capital(status)}</span>${" "}
            <${Count} value=${counts.value[status]} />
          </a>
        </li>`,
      )}
    </ul>
    ${nothing ? html`<${Welcome} />` : html`<${Charts} /><${Running} /><${Failures} />`}`;
}

const capital = (word) => word[0].toUpperCase() + word.slice(1);

function Running() {
  tasksVersion.value;
  const running = [...tasks.values()].filter((task) => task.status === "running");
  running.sort((left, right) => (left.started_at ?? 0) - (right.started_at ?? 0));
  const more = (counts.value.running ?? running.length) - Math.min(running.length, RUNNING);
  return html`<section class="panel flush" aria-labelledby="running">
    <header class="panel-head"><h2 id="running">Running</h2>
      ${more > 0 && html`<a href=${link("/tasks", { status: "running" })}>${more} more</a>`}
    </header>
    <div class="table-box">
      <table class="table running" aria-label="Running">
        <thead><tr><th>Task</th><th>Worker</th><th>Progress</th><th class="end">Duration</th></tr></thead>
        <tbody>
          ${running.slice(0, RUNNING).map(
            (task) => html`<tr key=${task.job_id}>
              <td><${TaskLabel} task=${task} /></td>
              <td class="clip"><${WorkerLabel} id=${task.worker_id} /></td>
              <td><${Progress} task=${task} message /></td>
              <td class="end"><${RunTime} task=${task} /></td>
            </tr>`,
          )}
          ${running.length === 0 && html`<tr><td colspan="4" class="muted">Nothing runs now.</td></tr>`}
        </tbody>
      </table>
    </div>
  </section>`;
}

function Failures() {
  tasksVersion.value;
  // The stream tells only of the newest tasks: an older failure is asked for.
  const asked = useResource("failures", () => getJson("/api/tasks?status=failed,quarantined&limit=20"));
  useEffect(() => onChanges(({ reloaded }) => reloaded && asked.soon()), []);
  const known = new Map((asked.value?.tasks ?? []).map((task) => [task.job_id, task]));
  for (const task of tasks.values())
    if (task.status === "failed" || task.status === "quarantined") known.set(task.job_id, task);
  const failures = [...known.values()].sort((left, right) => (right.ended_at ?? 0) - (left.ended_at ?? 0));
  const nothing = asked.loading ? "" : "Nothing has failed.";
  return html`<section class="panel flush" aria-labelledby="failures">
    <header class="panel-head"><h2 id="failures">Last failures</h2>
      ${failures.length > FAILURES && html`<a href=${link("/tasks", { status: "failed,quarantined" })}>All failures</a>`}
    </header>
    <div class="table-box">
      <table class="table last-failures" aria-label="Last failures">
        <thead><tr><th>Task</th><th>Status</th><th>Error</th><th class="end">Ended</th></tr></thead>
        <tbody>
          ${failures.slice(0, FAILURES).map(
            (task) => html`<tr key=${task.job_id}>
              <td><${TaskLabel} task=${task} /></td>
              <td><${Status} task=${task} /></td>
              <td class="clip"><${ErrorLine} error=${task.error} /></td>
              <td class="end"><${Ago} at=${task.ended_at} /></td>
            </tr>`,
          )}
          ${failures.length === 0 && html`<tr><td colspan="4" class="muted">${nothing}</td></tr>`}
        </tbody>
      </table>
    </div>
  </section>`;
}

function TaskLabel({ task }) {
  return html`<a class="task-label" href=${taskLink(task.job_id)}
    ><b>${visible(task.type)}</b> <code>${visible(task.job_id)}</code></a
  >`;
}

function ErrorLine({ error }) {
  if (!error) return null;
  const text = visible(String(error.message ?? "").slice(0, 300));
  return html`<span class="error-line" title=${text}><code>${visible(error.code)}</code> ${text}</span>`;
}
