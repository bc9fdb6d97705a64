import { html } from "../html.js";
import { listed, SHORTCUTS } from "../shortcuts.js";
import { Dialog } from "./dialog.js";

export function ShortcutsDialog() {
  if (!listed.value) return null;
  const close = () => {
    listed.value = false;
  };
  return html`<${Dialog} title="Shortcuts" onClose=${close}>
    <dl class="shortcuts">
      ${SHORTCUTS.map(
        ({ keys, what }) => html`<div key=${what}>
          <dt>${what}</dt>
          <dd>${keys.map((key, at) => html`${at > 0 && " then "}<kbd>${key}</kbd>`)}</dd>
        </div>`,
      )}
      <div><dt>Close a dialog</dt><dd><kbd>Esc</kbd></dd></div>
    </dl>
    <div class="dialog-actions"><button type="button" class="button" onClick=${close}>Close</button></div>
  <//>`;
}
