import { html } from "../html.js";
import { visible } from "../text.js";

/** The progress of a task, where its handler tells one. */
export function Progress({ task, message = false }) {
  const value = task.progress;
  if (value === undefined || value === null) return null;
  const percent = Math.round(Math.min(1, Math.max(0, value)) * 100);
  return html`<span class="progress">
    <span
      class=${`progress-bar ${task.status}`}
      role="progressbar"
      aria-label=${`Progress of ${task.job_id}`}
      aria-valuemin="0"
      aria-valuemax="100"
      aria-valuenow=${percent}
    ><span style=${{ transform: `scaleX(${percent / 100})` }}></span></span>
    <span class="progress-number">${percent}%</span>
    ${message && task.progress_message && html`<span class="progress-message">${visible(task.progress_message)}</span>`}
  </span>`;
}
