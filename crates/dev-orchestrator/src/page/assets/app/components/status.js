import { html } from "../html.js";
import { STATUSES } from "../api.js";
import { visible } from "../text.js";
import { Icon } from "./icon.js";

/** A status as a sign: each has a shape of its own, not only a colour. */
export function StatusIcon({ status }) {
  const name = STATUSES.includes(status) ? status : "queued";
  return html`<${Icon} name=${name} class=${`status-icon ${name}`} />`;
}

/** A task's status with its sign. */
export function Status({ task }) {
  const asked = task.cancel_requested && task.status === "running";
  return html`<span class="status">
    <${StatusIcon} status=${task.status} />
    <span class="capital">${asked ? "cancelling" : visible(task.status)}</span>
  </span>`;
}
