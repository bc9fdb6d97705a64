// The fields of a form from a schema. Each of them shows one value.

import { useEffect, useId, useState } from "preact/hooks";
import { html } from "../html.js";
import { readJson } from "../json/read.js";
import { nodeOf, sameValue, textNode, writeJson } from "../json/write.js";
import { choices } from "../schema/resolve.js";
import { visible } from "../text.js";

/** A number as JSON spells it. Anything else that is typed stays a text, which the check then says. */
const NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;
/** Longer texts get a box of several lines. */
const LONG = 120;

/**
 * The label, the description and the problem around a control.
 * @param {any} props `control` draws it, with the attributes that tie it to them
 */
export function Labelled({ schema, path, label, required, context, control, limits = "" }) {
  const id = useId();
  const problem = context.problem(path);
  const description = [schema.description, limits].filter(Boolean).map(visible).join(" ");
  const attributes = {
    id,
    "data-path": path,
    "aria-required": required ? "true" : undefined,
    "aria-describedby": description ? `${id}-about` : undefined,
    "aria-invalid": problem ? "true" : undefined,
    "aria-errormessage": problem ? `${id}-problem` : undefined,
    onBlur: () => context.touch(path),
    onFocus: () => context.focused(path),
  };
  return html`<div class="field">
    <div class="field-label"><label for=${id}>${label}</label>${!required && html`<span class="optional">optional</span>`}</div>
    ${control(attributes)}
    ${description && html`<p class="hint" id=${`${id}-about`}>${description}</p>`}
    ${problem && html`<p class="problem" id=${`${id}-problem`}>${problem}</p>`}
  </div>`;
}

/** What a value that is not sent would be. */
const shownDefault = (schema) => {
  if (schema.default === undefined || schema.default === null) return undefined;
  return typeof schema.default === "string" ? schema.default : writeJson(nodeOf(schema.default));
};

const shownText = (node) => {
  if (!node || (node.kind === "literal" && node.raw === "null")) return "";
  return node.kind === "string" ? node.value : node.raw;
};

export function TextField(props) {
  const { schema, node, change } = props;
  const value = shownText(node);
  const onInput = (event) => change(event.target.value === "" ? undefined : textNode(event.target.value));
  // A box of one line would take the line ends out.
  const several =
    /[\r\n]/.test(value) || value.length > LONG || schema.maxLength > 1000 || schema.format === "textarea";
  const control = (attributes) => {
    const all = { ...attributes, class: "input", placeholder: shownDefault(schema), value, onInput };
    return several ? html`<textarea rows="4" ...${all}></textarea>` : html`<input type="text" ...${all} />`;
  };
  return html`<${Labelled} ...${props} control=${control} />`;
}

export function NumberField(props) {
  const { schema, node, change, integer } = props;
  const { minimum, maximum } = schema;
  // Not a field of the type `number`: a browser would round what does not fit into a float.
  const onInput = (event) => {
    const text = event.target.value.trim();
    if (text === "") change(undefined);
    else change(NUMBER.test(text) ? { kind: "number", raw: text } : textNode(event.target.value));
  };
  const limits =
    minimum !== undefined && maximum !== undefined
      ? `From ${minimum} to ${maximum}.`
      : minimum !== undefined
        ? `At least ${minimum}.`
        : maximum !== undefined
          ? `At most ${maximum}.`
          : "";
  const control = (attributes) =>
    html`<input
      type="text"
      inputmode=${integer ? "numeric" : "decimal"}
      class="input number-input"
      ...${attributes}
      placeholder=${shownDefault(schema)}
      value=${shownText(node)}
      onInput=${onInput}
    />`;
  return html`<${Labelled} ...${props} limits=${limits} control=${control} />`;
}

export function BooleanField(props) {
  const { schema, node, change, label, path, context, required } = props;
  const id = useId();
  const problem = context.problem(path);
  const checked = node?.kind === "literal" ? node.raw === "true" : schema.default === true;
  return html`<div class="field checkbox-field">
    <input
      type="checkbox"
      id=${id}
      data-path=${path}
      checked=${checked}
      aria-describedby=${schema.description ? `${id}-about` : undefined}
      aria-invalid=${problem ? "true" : undefined}
      aria-errormessage=${problem ? `${id}-problem` : undefined}
      onBlur=${() => context.touch(path)}
      onFocus=${() => context.focused(path)}
      onChange=${(event) => change({ kind: "literal", raw: event.target.checked ? "true" : "false" })}
    />
    <div>
      <label for=${id}>${label}</label>
      ${
        !required &&
        node &&
        html` <button type="button" class="link-button" onClick=${() => change(undefined)}>do not send</button>`
      }
      ${schema.description && html`<p class="hint" id=${`${id}-about`}>${visible(schema.description)}</p>`}
      ${problem && html`<p class="problem" id=${`${id}-problem`}>${problem}</p>`}
    </div>
  </div>`;
}

export function ChoiceField(props) {
  const { schema, node, change, required } = props;
  const options = choices(schema);
  const at = node ? options.findIndex(({ value }) => sameValue(nodeOf(value), node)) : -1;
  const other = node && at < 0;
  const pick = (event) => {
    const index = event.target.value;
    if (index !== "other") change(index === "" ? undefined : nodeOf(options[Number(index)].value));
  };
  const selected = other ? "other" : at < 0 ? "" : String(at);
  const usual = shownDefault(schema);
  const none = usual ? `${visible(usual)} (default)` : required ? "Choose…" : "Not set";
  const control = (attributes) => html`<select class="input" ...${attributes} value=${selected} onChange=${pick}>
    <option value="" selected=${selected === ""}>${none}</option>
    ${options.map(({ label }, index) => {
      const value = String(index);
      return html`<option key=${index} value=${value} selected=${selected === value}>${visible(label)}</option>`;
    })}
    ${other && html`<option value="other" selected>${visible(writeJson(node)).slice(0, 80)}</option>`}
  </select>`;
  return html`<${Labelled} ...${props} control=${control} />`;
}

/** A value of any shape, as JSON: for what a form has no field for. */
export function JsonField(props) {
  const { node, change, context, path } = props;
  const written = node ? writeJson(node) : "";
  const [typed, setTyped] = useState(written);
  const [wrong, setWrong] = useState(null);
  useEffect(() => {
    // Changed from elsewhere, for example in the text of all params.
    if (!wrong && !sameText(typed, node)) setTyped(written);
  }, [written]);
  const onInput = (event) => {
    const text = event.target.value;
    setTyped(text);
    if (text.trim() === "") {
      setWrong(null);
      change(undefined);
      return;
    }
    try {
      const read = readJson(text);
      setWrong(null);
      change(read);
    } catch (problem) {
      setWrong(problem.message);
      // As a text it is not lost, and the check refuses it.
      change({ ...textNode(text), broken: true });
    }
  };
  const own = { ...context, problem: (where) => (where === path && wrong ? wrong : context.problem(where)) };
  const control = (attributes) =>
    html`<textarea
      class="input code"
      rows="4"
      spellcheck="false"
      ...${attributes}
      placeholder="JSON"
      value=${typed}
      onInput=${onInput}
    ></textarea>`;
  return html`<${Labelled} ...${props} context=${own} control=${control} />`;
}

function sameText(text, node) {
  try {
    return node ? sameValue(readJson(text), node) : text.trim() === "";
  } catch {
    return false;
  }
}
