import { html } from "../html.js";
import { workerLink } from "../router.js";
import { visible } from "../text.js";

/** A worker's id as a link to it. */
export function WorkerLabel({ id }) {
  if (!id) return null;
  return html`<a class="plain" href=${workerLink(id)} title=${visible(id)}>${visible(id)}</a>`;
}
