import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { html } from "../html.js";
import { useSlow } from "../live/resource.js";
import { hasReturned, open, taskLink } from "../router.js";
import { Selection } from "../selection.js";
import { visible } from "../text.js";
import { Empty, Failure } from "./empty.js";
import { Progress } from "./progress.js";
import { Status } from "./status.js";
import { RunTime, Time } from "./time.js";
import { SpaceRow, useVirtualRows } from "./virtual.js";
import { WorkerLabel } from "./worker-label.js";

/** The height of a row in pixels, as in the style sheet. */
const ROW = 40;
/** How far each list was scrolled when it was left, by its address. */
const positions = new Map();
const COLUMNS = ["Id", "Type", "Status", "Worker", "Progress", "Started", "Duration"];

/**
 * @param {{list: import("../live/task-list.js").TaskList, filtered: boolean, selection: Selection,
 *   select: (how: (before: Selection) => Selection) => void}} props
 */
export function TaskTable({ list, filtered, selection, select }) {
  list.version.value;
  const rows = useVirtualRows(list.total, ROW);
  const slow = useSlow(!list.loaded);
  const top = useRef(null);

  useEffect(() => {
    list.reach(rows.last - 1);
  }, [rows.last, list.version.value]);
  useEffect(() => {
    const { box } = rows;
    if (!box || !list.loaded) return undefined;
    const place = location.pathname + location.search;
    if (hasReturned()) box.scrollTop = positions.get(place) ?? 0;
    const keep = () => positions.set(place, box.scrollTop);
    box.addEventListener("scroll", keep, { passive: true });
    return () => box.removeEventListener("scroll", keep);
  }, [rows.box, list.loaded]);
  // What is being read stays where it is when newer tasks are put in above it.
  const topId = list.order[rows.first];
  useLayoutEffect(() => {
    const { id, first } = top.current ?? {};
    const at = id && first === rows.first && id !== topId ? list.order.indexOf(id) : -1;
    if (at > first) rows.scrollBy(at - first);
    top.current = { id: topId, first: rows.first };
  });

  if (list.error.value && !list.loaded) {
    return html`<${Failure} what="The tasks cannot be shown" error=${list.error.value} again=${() => list.refresh()} />`;
  }
  if (list.loaded && list.total === 0) return html`<${Nothing} filtered=${filtered} />`;
  const indexes = Array.from({ length: rows.last - rows.first }, (_, at) => rows.first + at);
  const chosen = selection.count(list.total);
  return html`<div class=${`table-box tall ${list.loaded ? "" : "waiting"}`} ref=${rows.ref}>
    <table class="table tasks" aria-label="Tasks" aria-rowcount=${list.loaded ? list.total : -1}>
      <thead>
        <tr>
          <th class="choose">
            <${Checkbox}
              label="Choose all"
              checked=${list.total > 0 && chosen === list.total}
              mixed=${chosen > 0 && chosen < list.total}
              onChange=${(checked) => select(() => new Selection(checked))}
            />
          </th>
          ${COLUMNS.map((name) => html`<th key=${name} scope="col" class=${name === "Duration" ? "end" : ""}>${name}</th>`)}
        </tr>
      </thead>
      <tbody>
        <${SpaceRow} key="above" height=${rows.above} columns=${8} />
        ${indexes.map((index) => {
          const task = list.at(index);
          return task
            ? html`<${TaskRow} key=${task.job_id} task=${task} index=${index} selection=${selection} select=${select} />`
            : html`<tr key=${`row ${index}`} class="not-loaded" aria-rowindex=${index + 1}><td colspan="8"></td></tr>`;
        })}
        <${SpaceRow} key="below" height=${rows.below} columns=${8} />
      </tbody>
    </table>
    ${slow && html`<p class="muted waiting-text">Loading tasks…</p>`}
  </div>`;
}

function TaskRow({ task, index, selection, select }) {
  const chosen = selection.has(task.job_id);
  // The whole row is a target for the mouse; the link in it is for everybody.
  const follow = (event) => {
    if (event.target.closest("a, input, label, button") || getSelection()?.toString()) return;
    open(taskLink(task.job_id));
  };
  return html`<tr class=${chosen ? "chosen" : ""} aria-rowindex=${index + 1} onClick=${follow}>
    <td class="choose">
      <${Checkbox}
        label=${`Choose ${task.job_id}`}
        checked=${chosen}
        onChange=${(checked) => select((before) => before.with(task.job_id, checked))}
      />
    </td>
    <td class="clip"><a href=${taskLink(task.job_id)} title=${visible(task.job_id)}><code>${visible(task.job_id)}</code></a></td>
    <td class="clip" title=${visible(task.type)}>${visible(task.type)}</td>
    <td><${Status} task=${task} /></td>
    <td class="clip"><${WorkerLabel} id=${task.worker_id} /></td>
    <td><${Progress} task=${task} /></td>
    <td class="number"><${Time} at=${task.started_at} /></td>
    <td class="number end"><${RunTime} task=${task} /></td>
  </tr>`;
}

function Checkbox({ label, checked, mixed = false, onChange }) {
  const box = useRef(null);
  useEffect(() => {
    if (box.current) box.current.indeterminate = mixed;
  }, [mixed]);
  return html`<label class="check"
    ><input
      type="checkbox"
      ref=${box}
      aria-label=${label}
      checked=${checked}
      onChange=${(event) => onChange(event.target.checked)}
  /></label>`;
}

function Nothing({ filtered }) {
  if (filtered) {
    return html`<${Empty} icon="search" title="No task matches">
      <p><a class="button" href="/tasks">Clear the filters</a></p>
    <//>`;
  }
  return html`<${Empty} icon="tasks" title="No tasks yet">
    <p>Submit one here, with <code>avtomatika submit</code>, or over <code>POST /api/tasks</code>.</p>
    <p><a class="button" href="/new">Make a task</a></p>
  <//>`;
}
