import { useState } from "preact/hooks";
import { html } from "../html.js";
import { counted } from "../format.js";
import { announce } from "../notices.js";
import { visible } from "../text.js";
import { Dialog } from "./dialog.js";

const WORDS = { Cancel: "cancelled", Retry: "submitted again" };

/**
 * Asks before many tasks are changed, does it, and lists what failed.
 * @param {{verb: "Cancel"|"Retry", ids: string[], note?: string, onClose: (done: boolean) => void,
 *   act: (ids: string[]) => Promise<{count: number, failed: {id: string, error: string}[]}>}} props
 */
export function Confirm({ verb, ids, note, onClose, act }) {
  const [state, setState] = useState({ busy: false, answer: null, error: null });
  const what = `${verb} ${counted(ids.length, "task")}`;
  const done = Boolean(state.answer);

  const confirm = async () => {
    setState({ busy: true, answer: null, error: null });
    try {
      const answer = await act(ids);
      if (answer.failed.length === 0) {
        announce(`${counted(answer.count, "task")} ${WORDS[verb]}`);
        onClose(true);
      } else setState({ busy: false, answer, error: null });
    } catch (error) {
      setState({ busy: false, answer: null, error });
    }
  };
  return html`<${Dialog} title=${`${what}?`} onClose=${() => onClose(done)}>
    ${!done && note && html`<p>${note}</p>`}
    ${state.error && html`<p class="problem" role="alert">${visible(state.error.message)}</p>`}
    ${done && html`<${Result} verb=${verb} answer=${state.answer} />`}
    <div class="dialog-actions">
      ${
        done
          ? html`<button type="button" class="button" onClick=${() => onClose(true)}>Close</button>`
          : html`<button type="button" class="button" onClick=${() => onClose(false)}>
                ${verb === "Cancel" ? "Keep them" : "Go back"}
              </button>
              <button
                type="button"
                class=${`button ${verb === "Cancel" ? "danger" : "primary"}`}
                disabled=${state.busy}
                onClick=${confirm}
              >${what}</button>`
      }
    </div>
  <//>`;
}

function Result({ verb, answer }) {
  const shown = answer.failed.slice(0, 200);
  const more = answer.failed.length - shown.length;
  return html`<div role="alert">
    <p>${counted(answer.count, "task")} ${WORDS[verb]}, ${answer.failed.length} not:</p>
    <ul class="failures">
      ${shown.map(({ id, error }) => html`<li key=${id}><code>${visible(id)}</code><span>${visible(error)}</span></li>`)}
      ${more > 0 && html`<li>and ${more} more</li>`}
    </ul>
  </div>`;
}
