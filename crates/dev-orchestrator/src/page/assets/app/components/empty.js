import { html } from "../html.js";
import { ApiError } from "../api.js";
import { Icon } from "./icon.js";
import { Prose } from "./prose.js";

/** @param {string} text of an error, which begins with a small letter and ends without a full stop */
const sentence = (text) => text.slice(0, 1).toUpperCase() + text.slice(1) + (/[.?!]$/.test(text) ? "" : ".");

/**
 * What is shown where there is nothing to show: what it is, and what to do.
 * @param {{icon: string, title: string, children?: any}} props
 */
export function Empty({ icon, title, children }) {
  return html`<div class="empty">
    <span class="empty-sign"><${Icon} name=${icon} /></span>
    <p class="empty-title">${title}</p>
    ${children && html`<div class="empty-text">${children}</div>`}
  </div>`;
}

/**
 * What is shown in place of an answer that failed.
 * @param {{what: string, error: Error, again: () => void}} props
 */
export function Failure({ what, error, again }) {
  const missing = error instanceof ApiError && error.status === 404;
  return html`<${Empty} icon="warning" title=${what}>
    <p><${Prose} text=${sentence(error.message)} /></p>
    ${!missing && html`<button type="button" class="button" onClick=${again}>Try again</button>`}
  <//>`;
}
