import { html } from "../html.js";
import { visible } from "../text.js";

/** A sentence of the server, with what is in backticks as code. */
export function Prose({ text }) {
  const parts = visible(text).split("`");
  return parts.map((part, at) => (at % 2 === 1 && at < parts.length - 1 ? html`<code>${part}</code>` : part));
}
