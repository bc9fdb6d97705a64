import { html } from "../html.js";
import { elapsed } from "../format.js";
import { now } from "../live/clock.js";
import { tasks, tasksVersion } from "../live/store.js";
import { taskLink } from "../router.js";
import { visible } from "../text.js";

/** More free slots than these are counted, not drawn. */
const FREE_SHOWN = 16;
const TAKEN_SHOWN = 64;

/** The slots of a worker as lanes: each free, or with the task that runs in it. */
export function Slots({ worker }) {
  tasksVersion.value;
  const running = worker.running ?? [];
  const total = worker.slots?.total ?? null;
  const free = total === null ? (running.length === 0 ? 1 : 0) : Math.max(0, total - running.length);
  const shown = running.slice(0, TAKEN_SHOWN);
  const used = worker.slots?.used ?? running.length;
  return html`<div class="slots-box">
    <p class="slots-count muted">${total === null ? `${used} in use` : `${used} of ${total} slots in use`}</p>
    <ul class="slots" aria-label="Slots">
      ${shown.map((id) => html`<${Lane} key=${id} id=${id} />`)}
      ${running.length > shown.length && html`<li class="slot">and ${running.length - shown.length} more</li>`}
      ${Array.from({ length: Math.min(free, FREE_SHOWN) }, (_, at) => html`<li class="slot free" key=${`free ${at}`}>free</li>`)}
      ${free > FREE_SHOWN && html`<li class="slot free" key="more">and ${free - FREE_SHOWN} more free</li>`}
    </ul>
  </div>`;
}

function Lane({ id }) {
  const task = tasks.get(id);
  const progress = Math.min(1, Math.max(0, task?.progress ?? 0));
  const time = task?.started_at ? elapsed(now.value - task.started_at) : "";
  return html`<li class="slot taken">
    <span class="slot-fill" aria-hidden="true" style=${{ transform: `scaleX(${progress})` }}></span>
    <a href=${taskLink(id)} title=${visible(id)}><b>${visible(task?.type ?? "task")}</b> <code>${visible(id)}</code></a>
    <span class="slot-time">${time}</span>
  </li>`;
}
