import { html } from "../html.js";
import { visible } from "../text.js";

/** A worker's status as a badge. */
export function WorkerState({ worker }) {
  const status = String(worker.status ?? "");
  const tone = { idle: "idle", busy: "busy", gone: "gone" }[status] ?? "other";
  return html`<span class=${`badge worker-${tone}`}>
    <i aria-hidden="true"></i><span class="capital">${visible(status)}</span>
  </span>`;
}
