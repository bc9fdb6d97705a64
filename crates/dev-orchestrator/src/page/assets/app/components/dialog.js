import { useEffect, useId, useRef } from "preact/hooks";
import { html } from "../html.js";

/**
 * A modal dialog, open as long as it is drawn. Escape and a click beside it close it.
 * @param {{title: string, onClose: () => void, children: any, class?: string}} props
 */
export function Dialog({ title, onClose, children, class: className = "" }) {
  const dialog = useRef(null);
  const id = useId();

  useEffect(() => {
    const opened = dialog.current;
    const before = document.activeElement;
    opened.showModal();
    return () => {
      opened.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);

  const cancel = (event) => {
    event.preventDefault();
    onClose();
  };
  const beside = (event) => {
    if (event.target === dialog.current) onClose();
  };
  return html`<dialog
    class=${className}
    ref=${dialog}
    aria-labelledby=${id}
    onCancel=${cancel}
    onMouseDown=${beside}
  >
    <div class="dialog-content">
      <h2 id=${id}>${title}</h2>
      ${children}
    </div>
  </dialog>`;
}
