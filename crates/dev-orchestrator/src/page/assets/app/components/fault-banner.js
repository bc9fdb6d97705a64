import { html } from "../html.js";
import { faults } from "../live/store.js";
import { address } from "../router.js";
import { visible } from "../text.js";
import { Icon } from "./icon.js";

/** Says on every view which faults are on, or people look for a bug that is none. */
export function FaultBanner() {
  const on = Object.entries(faults.value).filter(([, fault]) => fault?.on);
  if (on.length === 0) return null;
  const names = on.map(([name], at) => html`${at > 0 && ", "}<code>${visible(name)}</code>`);
  return html`<div class="banner">
    <${Icon} name="faults" />
    <p>${on.length === 1 ? "A fault is on: " : "Faults are on: "}${names}</p>
    ${address.value.path !== "/faults" && html`<a class="button small" href="/faults">See what is on</a>`}
  </div>`;
}
