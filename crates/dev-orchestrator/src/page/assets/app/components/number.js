import { html } from "../html.js";

/** A count whose thousands stand apart, by space around them and not by characters: it is read and copied as digits. */
export function Count({ value }) {
  const groups = String(Math.max(0, Math.round(value ?? 0)))
    .replace(/\B(?=([0-9]{3})+$)/g, " ")
    .split(" ");
  return html`<span class="count">${groups.map((group) => html`<span>${group}</span>`)}</span>`;
}
