// What a worker has run in the last minutes: a lane for each task at a time. It is a picture; the same tasks are in a
// list that can be walked through, which the view links to.

import { useEffect } from "preact/hooks";
import { html } from "../html.js";
import { getJson } from "../api.js";
import { counted, duration, localTime } from "../format.js";
import { now } from "../live/clock.js";
import { useResource } from "../live/resource.js";
import { onChanges, tasks, tasksVersion } from "../live/store.js";
import { link, open, taskLink } from "../router.js";
import { visible } from "../text.js";

/** The time that is shown, in seconds. */
const SPAN = 300;
const TASKS = 500;

/** @param {{id: string, slots: number|null}} props */
export function Lanes({ id, slots }) {
  const list = useResource(
    `lanes ${id}`,
    (signal) => getJson(link("/api/tasks", { worker: id, limit: String(TASKS) }), { signal }),
    { every: 2000 },
  );
  useEffect(
    () =>
      onChanges(({ tasks: changed, reloaded }) => {
        const own = [...changed.values()].some(
          ({ task, before }) => task.worker_id === id && task.status !== before?.status,
        );
        if (own || reloaded) list.soon();
      }),
    [id],
  );
  const end = now.value;
  const start = end - SPAN;
  // Tasks that run for long are not among the newest.
  tasksVersion.value;
  const running = [...tasks.values()].filter((task) => task.worker_id === id && task.status === "running");
  const newest = (list.value?.tasks ?? []).filter((task) => tasks.get(task.job_id)?.status !== "running");
  const ran = [...newest, ...running]
    .filter((task) => Number.isFinite(task.started_at) && (task.ended_at ?? end) > start)
    .sort((left, right) => left.started_at - right.started_at);
  const lanes = placed(ran, end, slots);
  while (lanes.length < Math.min(slots ?? 1, 8)) lanes.push([]);
  const percent = (at) => Math.min(100, Math.max(0, ((at - start) / SPAN) * 100));
  return html`<section class="panel" aria-label="Over time">
    <header class="panel-head"><h2>Over time</h2><span class="muted">the last ${SPAN / 60} minutes</span></header>
    <div class="lanes" role="img" aria-label=${`${counted(ran.length, "task")} in the last minutes`}>
      ${lanes.slice(0, 32).map(
        (lane, at) => html`<div class="lane" key=${at}>
          ${lane.map((task) => {
            const from = percent(task.started_at);
            const to = percent(task.ended_at ?? end);
            const name = `${visible(task.type)}, ${visible(task.status)}, ${duration((task.ended_at ?? end) - task.started_at)}`;
            return html`<i
              key=${task.task_id}
              class=${`lane-task ${task.status}`}
              title=${name}
              style=${{ left: `${from}%`, width: `${Math.max(to - from, 0.3)}%` }}
              onClick=${() => open(taskLink(task.job_id))}
            ></i>`;
          })}
        </div>`,
      )}
    </div>
    <div class="chart-times" aria-hidden="true"><span>${localTime(start)}</span><span>${localTime(end)}</span></div>
  </section>`;
}

/**
 * Puts each task into the first lane that is free when it starts. A worker takes its next task a moment before the result
 * of the last one is here: then it is the lane that is free first.
 */
function placed(ran, end, slots) {
  const lanes = [];
  const until = (lane) => lane.at(-1).ended_at ?? end;
  for (const task of ran) {
    const free = lanes.find((lane) => until(lane) <= task.started_at);
    const full = slots !== null && lanes.length >= slots;
    const lane = free ?? (full ? lanes.reduce((first, next) => (until(next) < until(first) ? next : first)) : null);
    if (lane) lane.push(task);
    else lanes.push([task]);
  }
  return lanes;
}
