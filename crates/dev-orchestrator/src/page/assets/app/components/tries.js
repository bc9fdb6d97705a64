import { html } from "../html.js";
import { duration } from "../format.js";
import { visible } from "../text.js";
import { StatusIcon } from "./status.js";
import { Time } from "./time.js";
import { WorkerLabel } from "./worker-label.js";

/** The tries of a task before the present one. */
export function Tries({ task }) {
  const tries = task.tries ?? [];
  if (tries.length === 0) {
    return html`<section class="panel slim" aria-label="Tries">
      <h2>Tries</h2>
      <p class="muted">None before this one.</p>
    </section>`;
  }
  return html`<section class="panel flush" aria-label="Tries">
    <header class="panel-head"><h2>Tries</h2><span class="muted">${tries.length} before this one</span></header>
    <div class="table-box">
      <table class="table" aria-label="Tries">
        <thead><tr><th>Status</th><th>Worker</th><th>Started</th><th class="end">Duration</th><th>Error</th></tr></thead>
        <tbody>
          ${tries.map(
            (attempt) => html`<tr key=${attempt.task_id}>
              <td>
                <span class="status">
                  <${StatusIcon} status=${sign(attempt)} /><span class="capital">${visible(attempt.status)}</span>
                </span>
              </td>
              <td class="clip"><${WorkerLabel} id=${attempt.worker_id} /></td>
              <td class="number"><${Time} at=${attempt.started_at} /></td>
              <td class="number end">${duration(attempt.ended_at - attempt.started_at)}</td>
              <td class="clip">
                ${attempt.error && html`<code>${visible(attempt.error.code)}</code> ${visible(attempt.error.message)}`}
              </td>
            </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`;
}

const sign = (attempt) => (attempt.error ? "failed" : attempt.status);
