// The time for what goes on: one tick a second for the whole page.

import { signal } from "@preact/signals";
import { paused } from "./pause.js";

/** The server's clock minus this one, in seconds. */
let offset = 0;

/** @param {number} serverNow seconds since 1970 @returns {void} */
export function setClock(serverNow) {
  const difference = serverNow - Date.now() / 1000;
  // Below that it is the way of the answer, not the clock.
  offset = Math.abs(difference) > 1.5 ? difference : 0;
}

const read = () => Date.now() / 1000 + offset;

/** The server's time in seconds since 1970. It stands still while updates are paused. */
export const now = signal(read());

setInterval(() => {
  if (!paused.peek() && !document.hidden) now.value = read();
}, 1000);
