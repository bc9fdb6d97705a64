import { useEffect, useMemo, useState } from "preact/hooks";
import { html } from "../html.js";
import { asText, cancelTask, retryTask } from "../actions.js";
import { getJson, getText, hasEnded } from "../api.js";
import { CopyButton } from "../components/copy.js";
import { Failure } from "../components/empty.js";
import { Files } from "../components/files.js";
import { Icon } from "../components/icon.js";
import { JsonPanel } from "../components/json-panel.js";
import { Logs } from "../components/logs.js";
import { Progress } from "../components/progress.js";
import { Status } from "../components/status.js";
import { TaskFacts } from "../components/task-facts.js";
import { Timeline } from "../components/timeline.js";
import { Tries } from "../components/tries.js";
import { fieldTexts } from "../json/read.js";
import { useResource, useSlow } from "../live/resource.js";
import { onChanges } from "../live/store.js";
import { notify } from "../notices.js";
import { link, open, taskLink } from "../router.js";
import { visible, visibleLines } from "../text.js";
import { useTitle } from "../title.js";

const PAYLOADS = ["params", "data", "metadata", "costs", "error"];

/**
 * @param {string} id
 * @param {AbortSignal} signal
 * @returns {Promise<{task: any, texts: Map<string, string>}>} the task's view, and its payloads as they were sent
 */
async function load(id, signal) {
  const answer = await getText(`/api/tasks/${encodeURIComponent(id)}`, { signal });
  const texts = fieldTexts(answer);
  const small = [...texts].filter(([name]) => !["params", "data", "metadata", "costs"].includes(name));
  const task = JSON.parse(`{${small.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join()}}`);
  const payloads = [...texts].filter(([name, text]) => PAYLOADS.includes(name) && text !== "null");
  return { task, texts: new Map(payloads) };
}

/** One task, with all that is known of it. */
export function TaskView({ id }) {
  const detail = useResource(`task ${id}`, (signal) => load(id, signal));
  const story = useResource(
    `story ${id}`,
    (signal) => getJson(`/api/tasks/${encodeURIComponent(id)}/story`, { signal }),
    { every: 1000 },
  );
  const [live, setLive] = useState(null);

  useEffect(
    () =>
      onChanges(({ tasks, reloaded }) => {
        // The address may have the id of a try.
        const change = tasks.get(detail.value?.task.job_id ?? id)?.task;
        if (change) setLive(change);
        if (!change && !reloaded) return;
        // Progress alone changes nothing that has to be asked for.
        if (reloaded || !isProgressOnly(detail.value?.task, change)) detail.soon();
        story.soon();
      }),
    [id, detail.value],
  );
  const slow = useSlow(detail.loading);
  const task = merged(detail.value?.task, live);
  useTitle(task ? `${visible(task.type)} ${visible(id)}` : visible(id));

  if (detail.error && !task) {
    return html`<h1 class="visually-hidden">Task</h1>
      <${Failure} what="This task cannot be shown" error=${detail.error} again=${detail.reload} />`;
  }
  if (!task) return slow ? html`<p class="muted waiting-text">Loading the task…</p>` : null;
  const { texts } = detail.value;
  const failed = texts.has("error");
  return html`
    <${Heading} task=${task} id=${id} reload=${detail.reload} />
    <${TaskFacts} task=${task} />
    ${task.status === "running" && html`<p class="task-progress"><${Progress} task=${task} message /></p>`}
    <${Timeline} task=${task} story=${story.value} />
    ${failed && html`<${ErrorPanel} task=${task} text=${texts.get("error")} id=${id} />`}
    <div class="columns">
      <${JsonPanel} name="Params" text=${texts.get("params")} nothing="No params." file=${`${id}-params`} />
      <${JsonPanel}
        name="Data"
        text=${texts.get("data")}
        nothing=${hasEnded(task) ? "The task ended without data." : "Comes with the result."}
        file=${`${id}-data`}
      />
    </div>
    <${Files} texts=${texts} />
    <${Logs} address=${`/api/tasks/${encodeURIComponent(id)}/logs`} jobId=${task.job_id} />
    <${Extra} texts=${texts} id=${id} />
    <${Tries} task=${task} />
    ${!failed && html`<${JsonPanel} name="Error" text=${undefined} nothing="None." />`}
  `;
}

/** What the stream has told since the answer came, over the answer. */
function merged(task, live) {
  if (!task || !live) return task;
  if (live.attempts < task.attempts || (hasEnded(task) && !hasEnded(live))) return task;
  const known = Object.fromEntries(Object.entries(live).filter(([, value]) => value !== undefined));
  return { ...task, ...known, error: task.error ?? live.error, tries: task.tries };
}

function isProgressOnly(known, change) {
  return (
    known &&
    change &&
    known.status === change.status &&
    known.task_id === change.task_id &&
    known.cancel_requested === change.cancel_requested &&
    !hasEnded(change)
  );
}

function Heading({ task, id, reload }) {
  const [language, setLanguage] = useState("python");
  const [busy, setBusy] = useState(false);
  const ended = hasEnded(task);

  const run = async (what, action) => {
    setBusy(true);
    try {
      await action();
    } catch (error) {
      notify(what, error);
    }
    setBusy(false);
  };
  const cancel = () =>
    run("Cancel", async () => {
      await cancelTask(id);
      reload();
    });
  const retry = () =>
    run("Retry", async () => {
      const { job_id } = await retryTask(id);
      open(taskLink(job_id));
    });
  return html`<div class="view-head task-head">
    <p class="crumbs"><a href="/tasks">← Back to the list</a></p>
    <div class="task-title">
      <h1>${visible(task.type)}${" "}<code>${visible(task.job_id)}</code></h1>
      <span class=${`badge ${task.status}`}><${Status} task=${task} /></span>
    </div>
    <div class="task-actions">
      <button type="button" class="button" disabled=${ended || busy} onClick=${cancel}
        ><${Icon} name="cancel" />Cancel</button
      >
      <button type="button" class="button" disabled=${!ended || busy} onClick=${retry}
        ><${Icon} name="retry" />Retry</button
      >
      <button type="button" class="button" onClick=${() => open(link("/new", { type: task.type, of: id }))}
        ><${Icon} name="edit" />Edit and run again</button
      >
      <span class="action-gap"></span>
      <${CopyButton} label="Copy as curl" text=${() => asText(id, "curl")} />
      <span class="joined">
        <select
          class="input"
          aria-label="Language of the test"
          value=${language}
          onChange=${(event) => setLanguage(event.target.value)}
        >
          <option value="python">Python</option>
          <option value="rust">Rust</option>
        </select>
        <${CopyButton} label="Copy as test" text=${() => asText(id, language)} />
      </span>
    </div>
  </div>`;
}

function ErrorPanel({ task, text, id }) {
  const { code, message } = task.error ?? {};
  return html`<${JsonPanel} name="Error" text=${text} nothing="" file=${`${id}-error`} tone="bad">
    <div class="error-text">
      ${code && html`<code class="error-code">${visible(code)}</code>`}
      <pre>${visibleLines(String(message ?? "").slice(0, 65_536))}</pre>
    </div>
  <//>`;
}

/** What some results have beside their data. */
function Extra({ texts, id }) {
  const names = useMemo(
    () => ["metadata", "costs"].filter((name) => texts.has(name) && texts.get(name) !== "{}"),
    [texts],
  );
  if (names.length === 0) return null;
  return html`<div class="columns">
    ${names.map(
      (name) => html`<${JsonPanel}
        key=${name}
        name=${name === "costs" ? "Costs" : "Meta"}
        text=${texts.get(name)}
        nothing=""
        file=${`${id}-${name}`}
      />`,
    )}
  </div>`;
}
