// Shortcuts of the keyboard. Never while somebody types.

import { signal } from "@preact/signals";
import { togglePause } from "./live/store.js";
import { open } from "./router.js";

/** The time for the second key of two, in milliseconds. */
const SECOND_KEY = 1500;

/** Whether the dialog that lists them is open. */
export const listed = signal(false);

/** What the dialog lists. */
export const SHORTCUTS = [
  { keys: ["g", "o"], what: "Overview", act: () => open("/") },
  { keys: ["g", "t"], what: "Tasks", act: () => open("/tasks") },
  { keys: ["g", "w"], what: "Workers", act: () => open("/workers") },
  { keys: ["g", "i"], what: "Wire", act: () => open("/wire") },
  { keys: ["g", "f"], what: "Faults", act: () => open("/faults") },
  { keys: ["n"], what: "New task", act: () => open("/new") },
  { keys: ["p"], what: "Pause updates, or go on", act: togglePause },
  { keys: ["/"], what: "Search", act: search },
  { keys: ["?"], what: "This list", act: () => (listed.value = true) },
];

function search() {
  const box = document.querySelector("main input[type=search]");
  if (box instanceof HTMLInputElement) {
    box.focus();
    box.select();
  } else open("/tasks");
}

/** @param {EventTarget|null} target */
function takesText(target) {
  if (!(target instanceof Element)) return false;
  const field = target.closest("input, textarea, select, [contenteditable]");
  if (!field) return false;
  return !(field instanceof HTMLInputElement && ["checkbox", "radio", "button"].includes(field.type));
}

export function listenForShortcuts() {
  let first = "";
  let timer = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || event.isComposing) return;
    if (takesText(event.target)) {
      // In a box for searching Escape leaves it; everywhere else it is left to the field.
      if (event.key === "Escape" && event.target.type === "search" && !event.target.value) event.target.blur();
      return;
    }
    if (document.querySelector("dialog[open]")) return;
    const keys = [first, event.key].filter(Boolean).join(" ");
    const found = SHORTCUTS.find((shortcut) => shortcut.keys.join(" ") === keys);
    clearTimeout(timer);
    first = "";
    if (found) {
      event.preventDefault();
      found.act();
    } else if (event.key === "g") {
      first = "g";
      timer = setTimeout(() => (first = ""), SECOND_KEY);
    }
  });
}
