import { html } from "../html.js";
import { announcement, dismiss, notices } from "../notices.js";
import { visible } from "../text.js";
import { Icon } from "./icon.js";

/** What failed, until it is dismissed. */
export function Notices() {
  return html`<div class="notices">
    ${notices.value.map(
      ({ id, text }) => html`<div class="notice" role="alert" key=${id}>
        <${Icon} name="warning" />
        <p>${visible(text)}</p>
        <button type="button" class="button small" onClick=${() => dismiss(id)}>Dismiss</button>
      </div>`,
    )}
    <div class="visually-hidden" aria-live="polite">${announcement.value}</div>
  </div>`;
}
