// Copying, with and without a clipboard.

import { useEffect, useRef, useState } from "preact/hooks";
import { signal } from "@preact/signals";
import { html } from "../html.js";
import { announce, notify } from "../notices.js";
import { Dialog } from "./dialog.js";
import { Icon } from "./icon.js";

/** How long a button says that it worked. */
const SAID_FOR = 2000;

/** The text that could not be put on the clipboard, for the dialog. */
const refused = signal(null);

/** @param {string} text @returns {Promise<boolean>} whether it is on the clipboard */
async function copy(text) {
  try {
    // There is none on a page that is not from this machine and not encrypted.
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    refused.value = text;
    return false;
  }
}

/**
 * @param {{label: string, text: () => string|Promise<string>, class?: string, short?: string}} props
 *   `text` is asked for when the button is pressed. `short` is shown where the label is for those who listen.
 */
export function CopyButton({ label, text, class: className = "", short }) {
  const [copied, setCopied] = useState(false);
  const timer = useRef(0);
  useEffect(() => () => clearTimeout(timer.current), []);

  const press = async () => {
    try {
      if (!(await copy(await text()))) return;
    } catch (error) {
      notify(label, error);
      return;
    }
    setCopied(true);
    announce("Copied");
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setCopied(false), SAID_FOR);
  };
  const shown = copied ? "Copied" : (short ?? label);
  return html`<button
    type="button"
    class=${`button ${className} ${copied ? "done" : ""}`}
    aria-label=${copied ? "Copied" : label}
    onClick=${press}
  ><${Icon} name=${copied ? "check" : "copy"} /><span class="stable" data-other=${copied ? (short ?? label) : "Copied"}
      >${shown}</span></button>`;
}

/** The dialog with the text that has to be copied by hand. Drawn once, in the frame of the page. */
export function CopyDialog() {
  const text = refused.value;
  const box = useRef(null);
  useEffect(() => {
    box.current?.focus();
    box.current?.select();
  }, [text]);
  if (text === null) return null;
  const close = () => {
    refused.value = null;
  };
  return html`<${Dialog} title="Copy" onClose=${close}>
    <p>The browser keeps the clipboard closed to this page. The text is selected: copy it with Ctrl+C or ⌘C.</p>
    <textarea class="input code" ref=${box} readonly rows="8" aria-label="Text to copy" value=${text}></textarea>
    <div class="dialog-actions"><button type="button" class="button" onClick=${close}>Close</button></div>
  <//>`;
}
