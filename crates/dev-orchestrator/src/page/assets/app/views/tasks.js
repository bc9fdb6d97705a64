import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { getJson, STATUSES } from "../api.js";
import { cancelAll, retryAll } from "../actions.js";
import { Confirm } from "../components/confirm.js";
import { Icon } from "../components/icon.js";
import { Count } from "../components/number.js";
import { TaskTable } from "../components/task-table.js";
import { counted } from "../format.js";
import { useResource } from "../live/resource.js";
import { TaskList } from "../live/task-list.js";
import { tasks, tasksVersion, workersVersion } from "../live/store.js";
import { notify } from "../notices.js";
import { address, link, replace } from "../router.js";
import { Selection } from "../selection.js";
import { visible } from "../text.js";
import { useTitle } from "../title.js";

/** The time between the last letter and the search, in milliseconds. */
const TYPING = 200;

/** @returns {import("../live/task-list.js").Filter} */
function filterOf(query) {
  const words = new URLSearchParams(query);
  const of = (name) => words.get(name) ?? undefined;
  return { status: of("status"), type: of("type"), worker: of("worker"), q: of("q") };
}

/** All tasks, filtered. */
export function TasksView() {
  useTitle("Tasks");
  const { query } = address.value;
  const filter = useMemo(() => filterOf(query), [query]);
  const [list, setList] = useState(null);
  const [selection, setSelection] = useState(() => new Selection());
  const [asked, setAsked] = useState(null);

  useEffect(() => {
    const made = new TaskList(filter);
    setList(made);
    setSelection(new Selection());
    return () => made.close();
  }, [query]);
  // From the address as it is now: a search that was typed comes a moment later.
  const change = (part) => replace(link("/tasks", { ...filterOf(location.search), ...part }));
  list?.version.value;

  const ask = async (verb) => {
    try {
      const ids = await selection.ids(list);
      if (ids.length > 0) setAsked({ verb, ids });
    } catch (error) {
      notify(`${verb} the chosen tasks`, error);
    }
  };
  const answered = (done) => {
    setAsked(null);
    if (done) setSelection(new Selection());
  };
  const chosen = list ? selection.count(list.total) : 0;
  return html`<div class="view-head">
      <h1>Tasks</h1>
      <span class="muted">${list?.loaded && html`<${Count} value=${list.total} />`}</span>
    </div>
    <${Filters} filter=${filter} change=${change} />
    <div class="bulk">
      <span class=${chosen ? "" : "muted"}>${chosen ? html`<${Count} value=${chosen} /> chosen` : "None chosen"}</span>
      <button type="button" class="button small" disabled=${!chosen} onClick=${() => ask("Cancel")}>Cancel</button>
      <button type="button" class="button small" disabled=${!chosen} onClick=${() => ask("Retry")}>Retry</button>
    </div>
    ${
      list &&
      html`<${TaskTable}
        key=${query}
        list=${list}
        filtered=${Object.values(filter).some(Boolean)}
        selection=${selection}
        select=${setSelection}
      />`
    }
    ${
      asked &&
      html`<${Confirm}
        verb=${asked.verb}
        ids=${asked.ids}
        note=${note(asked, list)}
        act=${asked.verb === "Cancel" ? cancelAll : retryAll}
        onClose=${answered}
      />`
    }`;
}

/** What a person should know before the answer: some of the chosen ones may have no use for it. */
function note({ verb, ids }, list) {
  const views = ids.map((id) => list.views.get(id)).filter(Boolean);
  const active = views.filter(({ status }) => status === "queued" || status === "running").length;
  if (verb === "Cancel") {
    const ended = views.length - active;
    return ended
      ? `${counted(ended, "task")} of these ${ended === 1 ? "has" : "have"} ended already, and will not change.`
      : "";
  }
  return active
    ? `${counted(active, "task")} of these ${active === 1 ? "has" : "have"} not ended, and cannot be retried yet.`
    : "Each is submitted again with the same params.";
}

function Filters({ filter, change }) {
  const [words, setWords] = useState(filter.q ?? "");
  const timer = useRef(0);
  const typed = useRef(words);
  useEffect(() => {
    // The address was changed by Back or a link, not from here.
    if ((filter.q ?? "") !== typed.current) {
      typed.current = filter.q ?? "";
      setWords(typed.current);
    }
  }, [filter.q]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const search = (text) => {
    setWords(text);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      typed.current = text.trim();
      change({ q: typed.current });
    }, TYPING);
  };
  return html`<div class="filters" role="search">
    <label class="search-box">
      <${Icon} name="search" />
      <input
        type="search"
        class="input"
        aria-label="Search tasks"
        placeholder="Search tasks"
        value=${words}
        onInput=${(event) => search(event.target.value)}
      />
      <kbd aria-hidden="true">/</kbd>
    </label>
    <label class="field-inline"><span>Status</span>
      <${Select} value=${filter.status} options=${STATUSES} pick=${(status) => change({ status })} />
    </label>
    <label class="field-inline"><span>Type</span>
      <${Select} value=${filter.type} options=${useTypes()} pick=${(type) => change({ type })} />
    </label>
    ${
      filter.worker &&
      html`<button type="button" class="chip" aria-label=${`All workers, not only ${visible(filter.worker)}`}
        onClick=${() => change({ worker: undefined })}
        >Worker: ${visible(filter.worker)}<${Icon} name="close" /></button
      >`
    }
  </div>`;
}

/** A select with `All` first. A value from the address that is not among the options is one, too. */
function Select({ value, options, pick }) {
  const all = value && !options.includes(value) ? [...options, value] : options;
  return html`<select class="input" value=${value ?? ""} onChange=${(event) => pick(event.target.value || undefined)}>
    <option value="" selected=${!value}>All</option>
    ${all.map(
      (option) => html`<option key=${option} value=${option} selected=${option === value}
        >${visible(option.replaceAll(",", ", "))}</option
      >`,
    )}
  </select>`;
}

/** The types that are registered, and those of the tasks that the page has seen. */
function useTypes() {
  const skills = useResource("types", () => getJson("/api/skills"), { every: 5000 });
  const version = workersVersion.value;
  useEffect(() => skills.soon(), [version]);
  tasksVersion.value;
  const names = new Set((skills.value?.skills ?? []).map((skill) => skill.name));
  for (const task of tasks.values()) names.add(task.type);
  return [...names].filter(Boolean).sort();
}
