import { useEffect } from "preact/hooks";
import { html } from "../html.js";
import { getJson } from "../api.js";
import { Slots } from "../components/slots.js";
import { Ago } from "../components/time.js";
import { Welcome } from "../components/welcome.js";
import { WorkerState } from "../components/worker-state.js";
import { useResource } from "../live/resource.js";
import { ready, workers, workersVersion } from "../live/store.js";
import { workerLink } from "../router.js";
import { visible } from "../text.js";
import { useTitle } from "../title.js";
import { heartbeatOf } from "../live/heartbeat.js";

/** All workers, and what each of them does. */
export function WorkersView() {
  useTitle("Workers");
  workersVersion.value;
  const list = [...workers.values()].sort((left, right) =>
    left.worker_id.localeCompare(right.worker_id, "en", { numeric: true }),
  );
  if (ready.value && list.length === 0) {
    return html`<div class="view-head"><h1>Workers</h1></div><${Welcome} />`;
  }
  return html`<div class="view-head"><h1>Workers</h1><span class="muted">${list.length || ""}</span></div>
    <div class="workers">${list.map((worker) => html`<${WorkerCard} key=${worker.worker_id} worker=${worker} />`)}</div>
    <${Skills} />`;
}

function WorkerCard({ worker }) {
  const id = visible(worker.worker_id);
  return html`<section class="panel worker" aria-label=${id}>
    <header class="panel-head">
      <h2><a href=${workerLink(worker.worker_id)}>${id}</a></h2>
      <${WorkerState} worker=${worker} />
      <span class="muted end">Last heartbeat ${" "}<${Ago} at=${heartbeatOf(worker)} /></span>
    </header>
    <${Slots} worker=${worker} />
    <${Hot} worker=${worker} />
  </section>`;
}

/** What a worker can do, the skills first that are ready without loading. */
function Hot({ worker }) {
  const hot = worker.hot ?? [];
  const skills = [...(worker.tasks ?? [])].sort((left, right) => hot.includes(right) - hot.includes(left));
  const others = hot.filter((name) => !skills.includes(name));
  if (skills.length + others.length === 0) return null;
  const shown = [...others, ...skills].slice(0, 24);
  const software = Object.entries(worker.software ?? {}).slice(0, 4);
  return html`<div class="worker-foot">
    <ul class="skills" aria-label="Skills">
      ${shown.map(
        (name) => html`<li key=${name} class=${hot.includes(name) ? "hot" : ""}
          >${visible(name)}${hot.includes(name) && html`<span class="hot-word"> hot</span>`}</li
        >`,
      )}
      ${skills.length + others.length > shown.length && html`<li>and ${skills.length + others.length - shown.length} more</li>`}
    </ul>
    <span class="muted">${software.map(([name, version]) => `${visible(name)} ${visible(version)}`).join(" · ")}</span>
  </div>`;
}

/** All that workers have registered, with a way to try each. */
function Skills() {
  const known = useResource("all skills", () => getJson("/api/skills"), { every: 2000 });
  const version = workersVersion.value;
  useEffect(() => known.soon(), [version]);
  const skills = known.value?.skills ?? [];
  if (skills.length === 0) return null;
  return html`<section class="panel flush" aria-label="All skills">
    <header class="panel-head"><h2>Skills</h2><span class="muted">${skills.length}</span></header>
    <div class="table-box">
      <table class="table all-skills" aria-label="All skills">
        <thead>
          <tr>
            <th>Name</th><th>Description</th><th>Workers</th><th><span class="visually-hidden">Action</span></th>
          </tr>
        </thead>
        <tbody>
          ${skills.map(
            (skill) => html`<tr key=${skill.name}>
              <td class="clip"><code>${visible(skill.name)}</code></td>
              <td class="clip" title=${visible(skill.description)}>
                ${visible(skill.description) || html`<span class="muted">None</span>`}
                ${skill.differs && html` <span class="warning-text">workers differ in its schema</span>`}
              </td>
              <td>${skill.workers?.length ?? 0}</td>
              <td class="end"><a href=${`/new?type=${encodeURIComponent(skill.name)}`}>New task</a></td>
            </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`;
}
