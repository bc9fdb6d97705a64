import { aboutJob, jobOf, typeOfJob } from "../blueprints.js";
import { html } from "../html.js";
import { visible } from "../text.js";

/** The type of a new task: one that is registered, a job of a blueprint, or any other. */
export function TypeField({ type, skills, blueprints, pick, missing }) {
  const known = [...(skills?.values() ?? [])];
  const jobs = [...(blueprints?.values() ?? [])];
  const skill = skills?.get(type);
  return html`<div class="panel form-panel">
    <div class="field">
      <div class="field-label"><label for="task-type">Type</label></div>
      <input
        id="task-type"
        class="input large"
        list="task-types"
        autocomplete="off"
        spellcheck="false"
        required
        value=${type}
        aria-invalid=${missing ? "true" : undefined}
        aria-describedby="task-type-about"
        aria-errormessage=${missing ? "task-type-problem" : undefined}
        placeholder=${known.length ? "What should be done?" : "my_task"}
        onInput=${(event) => pick(event.target.value)}
      />
      <datalist id="task-types">
        ${known.map((one) => html`<option key=${one.name} value=${one.name}>${visible(one.description)}</option>`)}
        ${jobs.map(
          (one) =>
            html`<option key=${typeOfJob(one.name)} value=${typeOfJob(one.name)}>${visible(aboutJob(one))}</option>`,
        )}
      </datalist>
      <p class="hint" id="task-type-about">${hint(type, skills, skill, blueprints)}</p>
      ${missing && html`<p class="problem" id="task-type-problem">A type is required.</p>`}
    </div>
  </div>`;
}

function hint(type, skills, skill, blueprints) {
  if (!skills) return " ";
  const job = jobOf(type);
  if (job !== null) {
    if (!blueprints) return " ";
    const blueprint = blueprints.get(job);
    return blueprint ? visible(aboutJob(blueprint)) : "The server was started with no blueprint of this name.";
  }
  if (skill) {
    const waits =
      (skill.workers ?? []).length === 0 ? "No worker for it is here now: the task waits until one comes." : "";
    return (
      [visible(skill.description), waits, skill.differs ? "Its workers differ in the schema: this is the latest." : ""]
        .filter(Boolean)
        .join(" ") || "Registered."
    );
  }
  if (type) return "No worker has registered this type: the task waits until one does.";
  return skills.size
    ? "One of the registered types, or any other."
    : "No worker has registered yet: a task waits until one does.";
}
