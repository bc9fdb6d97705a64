// The last exchanges with workers, as the server keeps them. They are asked for once a second while they are looked at.

import { useEffect, useRef, useState } from "preact/hooks";
import { getJson } from "../api.js";
import { link } from "../router.js";
import { paused } from "./pause.js";

/** @typedef {{headers: any, body: any}} Message */
/**
 * @typedef {{n: number, at: number, worker_id: string, operation: string, method: string, path: string,
 *   status: number|null, request_bytes: number, response_bytes: number, seconds: number, request: Message,
 *   response: Message, cut: boolean, fault?: string}} Exchange
 */

/** As many as the server keeps. */
const KEPT = 10_000;
const PAGE = 1000;
const EVERY = 1000;

/**
 * @param {{worker?: string, operation?: string}} filter
 * @returns {{exchanges: Exchange[], loaded: boolean, error: Error|null, again: () => void}} the newest first
 */
export function useWire({ worker, operation }) {
  const [state, setState] = useState({ exchanges: [], loaded: false, error: null });
  const ask = useRef(() => {});

  useEffect(() => {
    let ended = false;
    let busy = false;
    let after;
    let first = true;
    const load = async () => {
      if (busy || (!first && (paused.peek() || document.hidden))) return;
      busy = true;
      try {
        for (;;) {
          const answer = await getJson(link("/api/wire", { worker, operation, after, limit: String(PAGE) }));
          if (ended) return;
          const more = answer.exchanges ?? [];
          after = answer.next === null || answer.next === undefined ? after : String(answer.next);
          const fresh = [...more].sort((left, right) => right.n - left.n);
          const replace = first;
          first = false;
          setState((before) => {
            if (fresh.length === 0 && before.loaded && !before.error) return before;
            const older = replace ? [] : before.exchanges;
            return { exchanges: [...fresh, ...older].slice(0, KEPT), loaded: true, error: null };
          });
          if (more.length < PAGE) break;
        }
      } catch (error) {
        if (!ended) setState((before) => ({ ...before, error }));
      }
      busy = false;
    };
    ask.current = load;
    setState((before) => ({ ...before, loaded: false }));
    load();
    const timer = setInterval(load, EVERY);
    return () => {
      ended = true;
      clearInterval(timer);
    };
  }, [worker, operation]);
  return { ...state, again: () => ask.current() };
}
