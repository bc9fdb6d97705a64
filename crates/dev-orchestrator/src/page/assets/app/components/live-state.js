import { html } from "../html.js";
import { connection } from "../live/stream.js";
import { paused, waiting } from "../live/pause.js";

/** Whether what is shown is what is. The only region of the page with the role `status`. */
export function LiveState() {
  const [kind, text] = state();
  return html`<div class=${`live ${kind}`} role="status"><i aria-hidden="true"></i><span>${text}</span></div>`;
}

function state() {
  if (paused.value) return ["paused", `Paused, ${waiting.value} changes wait`];
  if (connection.value === "lost") return ["lost", "Connection lost, trying again"];
  return connection.value === "live" ? ["live-now", "Live"] : ["opening", ""];
}
