// The page's icons: drawn on a grid of 16, in the colour of the text beside them.

import { html } from "../html.js";

const PATHS = {
  overview: "M2.5 2.5h4.5v4.5h-4.5z M9 2.5h4.5v4.5h-4.5z M2.5 9h4.5v4.5h-4.5z M9 9h4.5v4.5h-4.5z",
  tasks: "M2.5 4l1 1 2-2 M7.5 4h6 M2.5 8.5l1 1 2-2 M7.5 8.5h6 M3.5 13h.01 M7.5 13h6",
  workers: "M2.5 3h11v4h-11z M2.5 9h11v4h-11z M5 5h.01 M5 11h.01 M8 5h3 M8 11h3",
  wire: "M2 5.5h10.5 M10 3l2.5 2.5L10 8 M14 10.5H3.5 M6 8l-2.5 2.5L6 13",
  faults: "M9 1.5 3.5 9H8l-1 5.5L12.5 7H8z",
  plus: "M8 3v10 M3 8h10",
  pause: "M5.5 3.5v9 M10.5 3.5v9",
  play: "M5 3l8 5-8 5z",
  search: "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9z M10.5 10.5 14 14",
  close: "M4 4l8 8 M12 4l-8 8",
  copy: "M5.5 5.5h8v8h-8z M10.5 5.5v-3h-8v8h3",
  download: "M8 2.5v8 M4.5 7.5 8 11l3.5-3.5 M3 13.5h10",
  right: "M6 3.5 10.5 8 6 12.5",
  down: "M3.5 6 8 10.5 12.5 6",
  retry: "M13 8a5 5 0 1 1-1.5-3.6 M13 2.5v3h-3",
  edit: "M3 13l.7-3L10.5 3.2l2.3 2.3L6 12.3z",
  cancel: "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11z M4.2 4.2l7.6 7.6",
  file: "M4 1.5h5l3.5 3.5v9.5H4z M9 1.5V5h3.5",
  warning: "M8 2.5 14.5 13.5h-13z M8 6.5v3.5 M8 12h.01",
  check: "M3 8.5 6.5 12 13 4.5",
  queued: "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11z",
  running: "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11z",
  finished: "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11z M5.5 8.2l1.8 1.8 3.3-3.8",
  failed: "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11z M6 6l4 4 M10 6l-4 4",
  quarantined: "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11z M8 5v3.5 M8 11h.01",
  cancelled: "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11z M5.5 8h5",
};

/** @param {{name: keyof typeof PATHS, class?: string}} props */
export function Icon({ name, class: className = "" }) {
  return html`<svg class=${`icon ${className}`} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
    <path d=${PATHS[name]} />
  </svg>`;
}
