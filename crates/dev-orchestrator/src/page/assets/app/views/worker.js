import { useEffect } from "preact/hooks";
import { html } from "../html.js";
import { getJson } from "../api.js";
import { Failure } from "../components/empty.js";
import { Lanes } from "../components/lanes.js";
import { Logs } from "../components/logs.js";
import { Slots } from "../components/slots.js";
import { Ago, Time } from "../components/time.js";
import { WorkerState } from "../components/worker-state.js";
import { heartbeatOf } from "../live/heartbeat.js";
import { useResource } from "../live/resource.js";
import { workers, workersVersion } from "../live/store.js";
import { link } from "../router.js";
import { visible } from "../text.js";
import { useTitle } from "../title.js";

/** One worker: what it runs, what it ran, what it is. */
export function WorkerView({ id }) {
  useTitle(visible(id));
  const address = `/api/workers/${encodeURIComponent(id)}`;
  const detail = useResource(address, (signal) => getJson(address, { signal }), { every: 1000 });
  const version = workersVersion.value;
  useEffect(() => detail.soon(), [version]);
  const known = workers.get(id);
  const worker = detail.value ? { ...detail.value, ...known, status: known?.status ?? detail.value.status } : known;
  if (!worker) {
    if (!detail.error) return null;
    return html`<h1 class="visually-hidden">Worker</h1>
      <${Failure} what="This worker cannot be shown" error=${detail.error} again=${detail.reload} />`;
  }
  return html`<div class="view-head">
      <p class="crumbs"><a href="/workers">← Back to the list</a></p>
      <div class="task-title">
        <h1>${visible(id)}</h1>
        <${WorkerState} worker=${worker} />
      </div>
      <div class="task-actions">
        <a class="button" href=${link("/tasks", { worker: id })}>What it ran</a>
        <a class="button" href=${link("/wire", { worker: id })}>What it said</a>
      </div>
    </div>
    <${Facts} worker=${worker} />
    <section class="panel" aria-label="Now">
      <header class="panel-head"><h2>Now</h2></header>
      <${Slots} worker=${worker} />
    </section>
    <${Lanes} id=${id} slots=${worker.slots?.total ?? null} />
    <${Skills} worker=${worker} />
    <${Logs} address=${`${address}/logs`} every=${1000} name="Logs" />`;
}

function Facts({ worker }) {
  const machine = worker.machine ?? {};
  const cores = machine.cpu_cores && `${machine.cpu_cores} cores`;
  const place = [machine.hostname, machine.ip_address, cores, gpu(machine.gpu)].filter(Boolean);
  const software = Object.entries(worker.software ?? {});
  const facts = [
    ["Type", visible(worker.worker_type)],
    ["Last heartbeat", html`<${Ago} at=${heartbeatOf(worker)} />`],
    ["Registered", worker.registered_at && html`<${Time} at=${worker.registered_at} />`],
    ["Polls held", String(worker.open_polls ?? 0)],
    ["Websocket", worker.websocket === undefined ? null : worker.websocket ? "connected" : "no"],
    ["Protocol", worker.protocol && visible(worker.protocol)],
    ["Machine", place.length > 0 && visible(place.join(" · "))],
    ["Software", software.length > 0 && visible(software.map(([name, version]) => `${name} ${version}`).join(" · "))],
  ];
  return html`<dl class="facts">
    ${facts.map(([name, value]) => value && html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl>`;
}

function gpu(value) {
  if (!value) return null;
  if (typeof value === "string") return value;
  const one = Array.isArray(value) ? value[0] : value;
  return typeof one === "object" ? (one.model ?? one.name ?? null) : String(one);
}

function Skills({ worker }) {
  const hot = worker.hot ?? [];
  const accepts = worker.accepts ?? [];
  const skills = worker.tasks ?? [];
  return html`<section class="panel" aria-label="Skills">
    <header class="panel-head"><h2>Skills</h2><span class="muted">${skills.length}</span></header>
    <ul class="skills">
      ${skills.map(
        (name) => html`<li key=${name} class=${hot.includes(name) ? "hot" : ""}
          ><a href=${link("/new", { type: name })}>${visible(name)}</a
          >${hot.includes(name) && html`<span class="hot-word"> hot</span>`}
          ${!accepts.includes(name) && html`<span class="muted"> not now</span>`}</li
        >`,
      )}
    </ul>
  </section>`;
}
