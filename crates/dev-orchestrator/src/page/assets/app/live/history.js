// The seconds before the page was opened, and those in which it was hidden or not connected.

import { getJson } from "../api.js";
import { setClock } from "./clock.js";
import { addStats, onChanges } from "./store.js";

/** As many seconds as are kept. */
const SPAN = 600;

/** Asks for the seconds that were missed, whenever there is a new snapshot. */
export function fetchHistory() {
  onChanges(async ({ reloaded }) => {
    if (!reloaded) return;
    try {
      const { now, seconds } = await getJson(`/api/stats?since=${Math.floor(Date.now() / 1000) - SPAN}`);
      setClock(now);
      addStats(seconds);
    } catch {
      // The stream brings a new one each second.
    }
  });
}
