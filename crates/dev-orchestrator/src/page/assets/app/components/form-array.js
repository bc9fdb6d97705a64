import { html } from "../html.js";
import { nodeOf } from "../json/write.js";
import { below } from "../schema/check.js";
import { kindOf, resolve } from "../schema/resolve.js";
import { visible } from "../text.js";
import { Icon } from "./icon.js";

/** More items than these are edited as JSON. */
const SHOWN = 100;

/** What a new item starts as. */
function firstValue(schema, root) {
  const item = resolve(schema, root);
  if (item.default !== undefined) return nodeOf(item.default);
  const kind = kindOf(item);
  if (kind === "object") return { kind: "object", entries: [] };
  if (kind === "array") return { kind: "array", items: [] };
  if (kind === "boolean") return nodeOf(false);
  if (kind === "integer" || kind === "number") return nodeOf(item.minimum ?? 0);
  if (kind === "text") return nodeOf("");
  return nodeOf(null);
}

/** A list of values. @param {import("./schema-form.js").FieldProps & {Field: any}} props */
export function ArrayField({ schema, node, path, label, required, context, update, Field }) {
  const items = node?.kind === "array" ? node.items : [];
  const put = (how) =>
    update((current) => {
      const next = how(current?.kind === "array" ? current.items : []);
      return next.length === 0 && !required ? undefined : { kind: "array", items: next };
    });
  const problem = context.problem(path);
  const add = () => put((list) => [...list, firstValue(schema.items, context.root)]);
  return html`<fieldset class="field group">
    <legend>${label}${!required && html` <span class="optional" aria-hidden="true">optional</span>`}</legend>
    ${schema.description && html`<p class="hint">${visible(schema.description)}</p>`}
    <div class="form-fields">
      ${items.slice(0, SHOWN).map(
        (item, at) => html`<div class="array-item" key=${at}>
          <${Field}
            schema=${schema.items}
            node=${item}
            path=${below(path, at)}
            label=${`${label} ${at + 1}`}
            required=${true}
            context=${context}
            update=${(how) => put((list) => list.map((old, index) => (index === at ? (how(old) ?? nodeOf("")) : old)))}
          />
          <button
            type="button"
            class="button small quiet"
            aria-label=${`Remove ${label} ${at + 1}`}
            onClick=${() => put((list) => list.filter((_, index) => index !== at))}
          ><${Icon} name="close" /></button>
        </div>`,
      )}
      ${items.length > SHOWN && html`<p class="hint">and ${items.length - SHOWN} more, to be seen as JSON</p>`}
    </div>
    <button type="button" class="button small" data-path=${path} onClick=${add}><${Icon} name="plus" />Add to ${label}</button>
    ${problem && html`<p class="problem">${problem}</p>`}
  </fieldset>`;
}
