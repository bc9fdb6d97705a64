import { html } from "../html.js";
import { changeDraft, draft } from "../draft.js";

const OPTIONS = [
  { name: "priority", label: "Priority", hint: "Higher ones go first.", placeholder: "0" },
  { name: "timeout", label: "Timeout", hint: "Seconds for each try.", placeholder: "default", min: 0 },
  { name: "count", label: "How many", hint: "Up to 1000 alike.", placeholder: "1", min: 1, max: 1000 },
];

/** What is no number has no value in a browser: that something was typed is kept beside it. */
function enter(name, { value, validity }) {
  const others = (draft.peek()?.unreadable ?? []).filter((other) => other !== name);
  changeDraft({ [name]: value, unreadable: validity.badInput ? [...others, name] : others });
}

/** What can be said about a new task beside its params. */
export function TaskOptions({ current, problems }) {
  return html`<div class="panel form-panel options">
    ${OPTIONS.map(({ name, label, hint, placeholder, ...limits }) => {
      const problem = problems.get(name);
      return html`<div class="field" key=${name}>
        <div class="field-label"><label for=${`task-${name}`}>${label}</label></div>
        <input
          id=${`task-${name}`}
          type="number"
          class="input"
          step="any"
          ...${limits}
          placeholder=${placeholder}
          value=${current[name]}
          aria-describedby=${`task-${name}-about`}
          aria-invalid=${problem ? "true" : undefined}
          aria-errormessage=${problem ? `task-${name}-problem` : undefined}
          onInput=${(event) => enter(name, event.target)}
        />
        <p class="hint" id=${`task-${name}-about`}>${hint}</p>
        ${problem && html`<p class="problem" id=${`task-${name}-problem`}>${problem}</p>`}
      </div>`;
    })}
  </div>`;
}
