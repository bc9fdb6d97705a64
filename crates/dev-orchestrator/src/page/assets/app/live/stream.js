// The stream of server-sent events: opened once for the whole page, closed while nobody looks.

import { signal } from "@preact/signals";

/** A hidden tab keeps its stream for this long: a browser has six connections to one server for all of its tabs. */
const HIDDEN_FOR = 10_000;
/** An answer that is no stream is not asked for again by the browser itself. */
const AGAIN_AFTER = 1000;
const KINDS = ["snapshot", "task", "progress", "worker", "worker_gone", "log", "fault", "verdict", "stats", "lagged"];

/** @type {import("@preact/signals").Signal<"opening"|"live"|"lost">} */
export const connection = signal("opening");

/**
 * Opens the stream, and keeps it open.
 * @param {(kind: string, data: any) => void} receive called for each event
 * @returns {() => void} opens it anew, for a new snapshot
 */
export function openStream(receive) {
  /** @type {EventSource|null} */
  let source = null;
  let timer = 0;

  const close = () => {
    clearTimeout(timer);
    source?.close();
    source = null;
  };
  const start = () => {
    close();
    // With an interrupted connection the browser connects again by itself, and sends `Last-Event-ID`.
    const opened = new EventSource("/api/events");
    source = opened;
    opened.onopen = () => {
      connection.value = "live";
    };
    opened.onerror = () => {
      connection.value = "lost";
      if (opened.readyState === EventSource.CLOSED) timer = setTimeout(start, AGAIN_AFTER);
    };
    for (const kind of KINDS) {
      opened.addEventListener(kind, (event) => {
        if (source === opened) receive(kind, parse(event.data));
      });
    }
  };

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      clearTimeout(timer);
      timer = setTimeout(close, HIDDEN_FOR);
    } else if (!source) {
      // A new stream begins with a snapshot.
      start();
    } else if (source.readyState === EventSource.CLOSED) {
      start();
    } else {
      clearTimeout(timer);
    }
  });
  // Safe to close: a page that comes back from the browser's cache gets `pageshow`.
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => event.persisted && start());
  start();
  return start;
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
