import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { getText } from "../api.js";
import { jobOf, loadBlueprints, typeOfJob } from "../blueprints.js";
import { ParamsEditor } from "../components/params-editor.js";
import { TaskOptions } from "../components/task-options.js";
import { TypeField } from "../components/type-field.js";
import { changeDraft, draft, emptyDraft, openDraft } from "../draft.js";
import { fieldTexts, readJson } from "../json/read.js";
import { plainValue, valueOf, writeJson } from "../json/write.js";
import { useResource } from "../live/resource.js";
import { workersVersion } from "../live/store.js";
import { notify } from "../notices.js";
import { address, link, open, replace, taskLink } from "../router.js";
import { check, spelledOut } from "../schema/check.js";
import { withRequired } from "../schema/fill.js";
import { submitMany } from "../submit.js";
import { visible } from "../text.js";
import { useTitle } from "../title.js";

/** @returns {Promise<Map<string, any>>} skills by name; numbers in their schemas are exact */
async function loadSkills(signal) {
  const answer = readJson(await getText("/api/skills", { signal }));
  const list = valueOf(answer, "skills");
  const skills = list?.kind === "array" ? list.items.map(plainValue) : [];
  return new Map(skills.map((skill) => [skill.name, skill]));
}

/** A task to be submitted. */
export function NewTaskView() {
  useTitle("New task");
  const words = new URLSearchParams(address.value.query);
  const of = words.get("of");
  useDraft(words.get("type") ?? "", of);
  const skills = useResource("skills", loadSkills, { every: 2000 });
  const blueprints = useResource("blueprints", loadBlueprints);
  const version = workersVersion.value;
  useEffect(() => skills.soon(), [version]);
  const current = draft.value;
  return html`<div class="view-head">
      <h1>New task</h1>
      ${of && html`<span class="muted">with the params of <a href=${taskLink(of)}><code>${visible(of)}</code></a></span>`}
    </div>
    ${
      current &&
      (skills.value || skills.error) &&
      html`<${Form} key=${current.key} current=${current} skills=${skills.value} blueprints=${blueprints.value} of=${of} />`
    }`;
}

/** Begins a draft, unless the one that was begun is for this address. */
function useDraft(type, of) {
  const key = of ? `of ${of}` : "new";
  useEffect(() => {
    if (openDraft(key)) {
      // As the address is now: somebody may have typed on since this was drawn.
      const newest = new URLSearchParams(location.search).get("type");
      if (newest && draft.peek().type !== newest) changeDraft({ type: newest, tab: null });
      return undefined;
    }
    if (!of) {
      draft.value = emptyDraft(key, type);
      return undefined;
    }
    const abort = new AbortController();
    getText(`/api/tasks/${encodeURIComponent(of)}`, { signal: abort.signal }).then(
      (answer) => {
        const fields = fieldTexts(answer);
        const job = fields.has("job") ? fieldTexts(fields.get("job")) : null;
        const type = job ? typeOfJob(JSON.parse(job.get("name"))) : JSON.parse(fields.get("type") ?? '""');
        draft.value = {
          ...emptyDraft(key, type),
          text: (job ?? fields).get("params") ?? "{}",
          priority: fields.get("priority")?.replace(/^0(\.0)?$/, "") ?? "",
          timeout: fields.get("timeout")?.replace("null", "") ?? "",
        };
      },
      (error) => {
        if (abort.signal.aborted) return;
        notify("The params of that task cannot be had", error);
        draft.value = emptyDraft(key, type);
      },
    );
    return () => abort.abort();
  }, [key, type]);
}

function Form({ current, skills, blueprints, of }) {
  const { type, text } = current;
  const schema = skills?.get(type)?.input_schema ?? null;
  const [touched, setTouched] = useState(() => new Set());
  const [tried, setTried] = useState(false);
  const [state, setState] = useState({ busy: false, sent: 0 });
  const form = useRef(null);

  const tab = tabOf(current, schema);
  const { parsed, problems } = useMemo(() => examine(text, schema, tab), [text, schema, tab]);
  const optionProblems = optionsOf(current);
  const shownProblem = (path) => {
    if (!tried && !touched.has(path)) return null;
    const found = problems.find((problem) => problem.path === path);
    return found ? sentence(found.text) : null;
  };
  const fits = problems.length === 0;
  // Params that do not fit may be sent on purpose, as text, once that was said.
  const anyway = tab === "json" && !fits && (tried || current.touched);

  const submit = async (event) => {
    event.preventDefault();
    setTried(true);
    // What counts is what was typed last, drawn or not.
    const task = draft.peek();
    const last = examine(task.text, schema, tabOf(task, schema));
    const refused =
      !task.type || last.parsed.problem || optionsOf(task).size > 0 || (last.problems.length > 0 && !anyway);
    if (refused) {
      requestAnimationFrame(() => form.current?.querySelector("[aria-invalid=true]")?.focus());
      return;
    }
    setState({ busy: true, sent: 0 });
    try {
      const ids = await submitMany({ ...task, text: last.text }, (sent) => setState({ busy: true, sent }));
      draft.value = null;
      const several = jobOf(task.type) === null ? { type: task.type } : {};
      open(ids.length === 1 ? taskLink(ids[0]) : link("/tasks", several));
    } catch (error) {
      notify("The task was not submitted", error);
      setState({ busy: false, sent: 0 });
    }
  };
  const pickType = (name) => {
    changeDraft({ type: name, tab: current.touched ? current.tab : null });
    replace(link("/new", { type: name, of }));
  };
  const count = Number(current.count);
  return html`<form class="new-task" aria-label="New task" novalidate onSubmit=${submit} ref=${form}>
    <${TypeField} type=${type} skills=${skills} blueprints=${blueprints} pick=${pickType} missing=${tried && !type} />
    <${ParamsEditor}
      tab=${tab}
      text=${text}
      parsed=${parsed}
      schema=${schema}
      type=${type}
      known=${Boolean(skills?.has(type))}
      problem=${shownProblem}
      unfit=${anyway ? problems.map(spelledOut) : []}
      unreadable=${tried || touched.has("json") ? (parsed.problem ?? null) : null}
      touch=${(path) => setTouched((before) => (before.has(path) ? before : new Set(before).add(path)))}
    />
    <${TaskOptions} current=${current} problems=${tried ? optionProblems : new Map()} />
    <div class="form-actions">
      <button type="submit" class="button primary large" disabled=${state.busy} onMouseDown=${keepFocus}>
        ${anyway ? "Submit anyway" : "Submit"}
      </button>
      ${state.busy && count > 1 && html`<span class="muted">${state.sent} of ${count} submitted</span>`}
    </div>
  </form>`;
}

/** Without a choice: a form where there is a schema for it. */
const tabOf = (task, schema) => task.tab ?? (schema ? "form" : "json");

/** @returns {{parsed: any, problems: import("../schema/check.js").Problem[], text: string}} `text` is what is sent */
function examine(text, schema, tab) {
  let node;
  try {
    node = readJson(text);
  } catch (problem) {
    return { parsed: { problem: `This is not JSON: ${problem.message}` }, problems: [], text };
  }
  if (node.kind !== "object") return { parsed: { problem: "Params have to be an object: { … }" }, problems: [], text };
  if (!schema) return { parsed: { node }, problems: [], text };
  const filled = tab === "form" ? withRequired(schema, node, schema) : node;
  return {
    parsed: { node },
    problems: check(schema, filled, schema),
    text: filled === node ? text : writeJson(filled),
  };
}

/** A field that is left shows its problem, and would move the button away from under the pointer. */
const keepFocus = (event) => event.preventDefault();

/** @param {string} text of a problem */
function sentence(text) {
  if (text === "is required") return "This is required.";
  return /^expected/.test(text) ? `${text[0].toUpperCase()}${text.slice(1)}.` : `This ${text}.`;
}

/** @returns {Map<string, string>} what is wrong with the numbers beside the params */
function optionsOf({ priority, timeout, count, unreadable }) {
  const problems = new Map(unreadable.map((name) => [name, "A number, please."]));
  if (priority !== "" && !Number.isFinite(Number(priority))) problems.set("priority", "A number, please.");
  if (timeout !== "" && !(Number(timeout) > 0)) problems.set("timeout", "A number of seconds above 0, please.");
  if (!/^[0-9]+$/.test(count) || Number(count) < 1 || Number(count) > 1000)
    problems.set("count", "From 1 to 1000, please.");
  return problems;
}
