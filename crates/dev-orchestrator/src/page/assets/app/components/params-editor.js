// The params of a new task: as a form from the schema, or as the JSON text itself. The text is what counts: the form
// shows a part of it and changes a part of it.

import { useRef, useState } from "preact/hooks";
import { jobOf } from "../blueprints.js";
import { html } from "../html.js";
import { changeDraft, draft } from "../draft.js";
import { readJson } from "../json/read.js";
import { emptyObject, writeJson } from "../json/write.js";
import { notify } from "../notices.js";
import { kindOf, resolve } from "../schema/resolve.js";
import { visible } from "../text.js";
import { uploadFiles } from "../upload.js";
import { CopyButton } from "./copy.js";
import { Icon } from "./icon.js";
import { ObjectField } from "./schema-form.js";

const TABS = [
  { id: "form", name: "Form" },
  { id: "json", name: "JSON" },
];

/**
 * @param {{tab: string, text: string, parsed: any, schema: any, type: string, known: boolean, unfit: string[],
 *   unreadable: string|null,   problem: (path: string) => string|null, touch: (path: string) => void}} props
 */
export function ParamsEditor(props) {
  const { tab, parsed, schema, touch } = props;
  const lastField = useRef(null);
  const textBox = useRef(null);
  const [files, setFiles] = useState([]);
  const [over, setOver] = useState(false);

  const show = (id) => {
    // A text that cannot be read cannot be shown as a form: what was typed stays where it is.
    if (id === "form" && parsed.problem) touch("json");
    else changeDraft({ tab: id });
  };
  const add = async (list) => {
    try {
      const uploaded = await uploadFiles([...list]);
      setFiles((before) => [...before, ...uploaded]);
      for (const file of uploaded) place(file.uri);
    } catch (error) {
      notify("The file was not stored", error);
    }
  };
  const place = (uri) => {
    if (tab === "json") insertAtCursor(textBox.current, props.text, uri);
    else insertIntoField(lastField.current, uri);
  };
  const drop = (event) => {
    if (!event.dataTransfer?.files.length) return;
    event.preventDefault();
    setOver(false);
    add(event.dataTransfer.files);
  };
  const drag = (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    setOver(true);
  };
  const root = schema ? resolve(schema, schema) : null;
  const hasForm = root && kindOf(root) === "object";
  return html`<div
    class=${`panel form-panel params ${over ? "over" : ""}`}
    onDragOver=${drag}
    onDragLeave=${(event) => event.currentTarget === event.target && setOver(false)}
    onDrop=${drop}
  >
    <${Tabs} tab=${tab} show=${show} />
    <div class="tab-panel" role="tabpanel" id="params-panel" aria-labelledby=${`tab-${tab}`}>
      ${
        tab === "form"
          ? html`<${ParamsForm} ...${props} root=${root} hasForm=${hasForm} focused=${(path) => (lastField.current = path)} />`
          : html`<${ParamsText} ...${props} box=${textBox} />`
      }
    </div>
    <${Attachments} files=${files} add=${add} />
  </div>`;
}

function Tabs({ tab, show }) {
  const onKeyDown = (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    event.preventDefault();
    const next = tab === "form" ? "json" : "form";
    show(next);
    event.currentTarget.querySelector(`#tab-${next}`)?.focus();
  };
  return html`<div class="tabs" role="tablist" aria-label="Params as" onKeyDown=${onKeyDown}>
    ${TABS.map(
      ({ id, name }) => html`<button
        type="button"
        key=${id}
        id=${`tab-${id}`}
        role="tab"
        aria-selected=${tab === id ? "true" : "false"}
        aria-controls="params-panel"
        tabindex=${tab === id ? 0 : -1}
        onClick=${() => show(id)}
      >${name}</button>`,
    )}
  </div>`;
}

function ParamsForm({ parsed, root, hasForm, schema, type, known, problem, touch, focused }) {
  if (!hasForm) {
    const why = !type
      ? "Choose a type first."
      : jobOf(type) !== null
        ? "A blueprint has no schema that a form can be made of."
        : known
          ? "This type has registered no schema that a form can be made of."
          : "Nobody has registered this type, so that its params are not known.";
    return html`<p class="hint form-none">${why} The params can be written as JSON.</p>`;
  }
  if (!parsed.node) return html`<p class="problem">${parsed.problem}</p>`;
  const update = (how) => {
    // From the newest text: two fields may change before the form is drawn again.
    const next = how(readJson(draft.peek().text)) ?? emptyObject();
    changeDraft({ text: writeJson(next), tab: "form", touched: true });
  };
  const context = { root: schema, problem, touch, focused };
  const nothing = Object.keys(root.properties ?? {}).length === 0;
  const own = problem("");
  return html`${nothing && html`<p class="hint form-none">This type takes no params.</p>`}
    <${ObjectField}
      bare
      schema=${root}
      node=${parsed.node}
      path=""
      label="Params"
      required=${true}
      context=${context}
      update=${update}
    />
    ${own && html`<p class="problem">${own}</p>`}`;
}

function ParamsText({ text, unreadable, unfit, touch, box }) {
  const invalid = unreadable !== null || unfit.length > 0;
  const onInput = (event) => changeDraft({ text: event.target.value, tab: "json", touched: true });
  return html`<div class="field">
    <div class="field-label"><label for="params-text">Params</label></div>
    <textarea
      id="params-text"
      class="input code"
      rows="14"
      spellcheck="false"
      autocomplete="off"
      ref=${box}
      value=${text}
      aria-invalid=${invalid ? "true" : undefined}
      aria-errormessage=${invalid ? "params-problem" : undefined}
      onInput=${onInput}
      onBlur=${() => touch("json")}
    ></textarea>
    <div class="problem" id="params-problem" aria-live="off">
      ${unreadable && html`<p>${visible(unreadable)}</p>`}
      ${
        unfit.length > 0 &&
        html`<p>These params do not fit the schema of this type:</p>
        <ul>${unfit.slice(0, 20).map((line) => html`<li key=${line}>${visible(line)}</li>`)}</ul>
        ${unfit.length > 20 && html`<p>and ${unfit.length - 20} more</p>`}`
      }
    </div>
  </div>`;
}

/** The address goes to where the cursor is: so it has to stay there. */
const keepFocus = (event) => event.preventDefault();

function Attachments({ files, add }) {
  const input = useRef(null);
  const chosen = (event) => {
    add(event.target.files);
    event.target.value = "";
  };
  return html`<div class="attachments">
    <button
      type="button"
      class="button small"
      onMouseDown=${keepFocus}
      onClick=${() => input.current.click()}
    ><${Icon} name="file" />Add a file</button>
    <input type="file" class="visually-hidden" multiple tabindex="-1" aria-hidden="true" ref=${input} onChange=${chosen} />
    <span class="hint">or drop it here: it is stored, and its address goes to where the cursor is.</span>
    ${
      files.length > 0 &&
      html`<ul class="uploaded">
      ${files.map(
        ({ uri, name }) => html`<li key=${uri}>
          <code>${visible(uri)}</code>
          <${CopyButton} class="small" label=${`Copy the address of ${visible(name)}`} short="Copy" text=${() => uri} />
        </li>`,
      )}
    </ul>`
    }
  </div>`;
}

/** Puts an address into the field that had the focus last, or into the first one for text that is empty. */
function insertIntoField(path, uri) {
  const fields = [...document.querySelectorAll(".params input[type=text][data-path], .params textarea[data-path]")];
  const field = fields.find((one) => one.dataset.path === path) ?? fields.find((one) => !one.value && !one.inputMode);
  if (!field) return;
  if (field.classList.contains("code") || field.inputMode) return;
  field.value = uri;
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

/** Puts an address at the cursor: with quotes, unless the cursor stands within some. */
function insertAtCursor(box, text, uri) {
  const from = box?.selectionStart ?? text.length;
  const to = box?.selectionEnd ?? from;
  const inside = text[from - 1] === '"' && text[to] === '"';
  const word = inside ? JSON.stringify(uri).slice(1, -1) : JSON.stringify(uri);
  changeDraft({ text: text.slice(0, from) + word + text.slice(to), touched: true });
  requestAnimationFrame(() => box?.setSelectionRange(from + word.length, from + word.length));
}
