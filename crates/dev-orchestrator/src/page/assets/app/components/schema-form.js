// A form that is made from a JSON Schema. It holds no values: each field shows a part of the params, and says how that
// part changes, so that nothing is lost between form and text, or between two changes at once.

import { html } from "../html.js";
import { valueOf, withValue } from "../json/write.js";
import { below } from "../schema/check.js";
import { kindOf, resolve } from "../schema/resolve.js";
import { visible } from "../text.js";
import { ArrayField } from "./form-array.js";
import { ChoiceField, JsonField, BooleanField, NumberField, TextField } from "./form-fields.js";

/**
 * @typedef {import("../json/read.js").JsonNode} JsonNode
 * @typedef {{root: any, problem: (path: string) => string|null, touch: (path: string) => void,
 *   focused: (path: string) => void}} Context
 * @typedef {{schema: any, node: JsonNode|undefined, path: string, label: string, required: boolean, context: Context,
 *   update: (how: (node: JsonNode|undefined) => JsonNode|undefined) => void}} FieldProps
 */

const FIELDS = {
  text: TextField,
  number: NumberField,
  integer: NumberField,
  boolean: BooleanField,
  choice: ChoiceField,
  json: JsonField,
  array: ArrayField,
};

/** One value: the field that its schema calls for. @param {FieldProps} props */
export function Field(props) {
  const schema = resolve(props.schema, props.context.root);
  let kind = kindOf(schema);
  const { node } = props;
  // What is there already may have another shape than the schema says: it is shown, not thrown away.
  if (node) {
    const container = node.kind === "object" || node.kind === "array";
    if (container && kind !== node.kind) kind = "json";
    if (!container && (kind === "object" || kind === "array")) kind = "json";
  }
  const label = visible(schema.title ?? props.label);
  if (kind === "object") return html`<${ObjectField} ...${props} schema=${schema} label=${label} />`;
  const Shown = FIELDS[kind];
  const change = (value) => props.update(() => value);
  const more = { schema, label, change, integer: kind === "integer", Field };
  return html`<${Shown} ...${props} ...${more} />`;
}

/** The fields of an object. @param {FieldProps & {bare?: boolean}} props `bare`: without a frame, as the whole form */
export function ObjectField({ schema, node, path, label, required, context, update, bare = false }) {
  const properties = Object.entries(schema.properties ?? {});
  const needed = schema.required ?? [];
  // Required ones first: they are what has to be filled in.
  properties.sort(([left], [right]) => needed.includes(right) - needed.includes(left));
  const fields = properties.map(
    ([name, part]) => html`<${Field}
      key=${name}
      schema=${part}
      node=${valueOf(node, name)}
      path=${below(path, name)}
      label=${name}
      required=${needed.includes(name)}
      context=${context}
      update=${(how) =>
        update((current) => {
          const next = withValue(current, name, how(valueOf(current, name)));
          // An optional object exists as long as something is in it.
          return !bare && !required && next.kind === "object" && next.entries.length === 0 ? undefined : next;
        })}
    />`,
  );
  const unknown =
    node?.kind === "object" ? node.entries.filter(({ key }) => !Object.hasOwn(schema.properties ?? {}, key)) : [];
  const others =
    unknown.length > 0 &&
    html`<p class="hint">
    Kept as they are, and to be seen as JSON:${" "}
      ${unknown.slice(0, 20).map(({ key }, at) => html`${at > 0 && ", "}<code>${visible(key)}</code>`)}
  </p>`;
  if (bare) return html`<div class="form-fields">${fields}${others}</div>`;
  const problem = context.problem(path);
  return html`<fieldset class="field group">
    <legend>${label}${!required && html` <span class="optional" aria-hidden="true">optional</span>`}</legend>
    ${schema.description && html`<p class="hint">${visible(schema.description)}</p>`}
    <div class="form-fields">${fields}${others}</div>
    ${problem && html`<p class="problem">${problem}</p>`}
  </fieldset>`;
}
