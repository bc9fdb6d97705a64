// Answers of the server, as views need them: kept while a newer one is on its way, so that nothing flickers.

import { useEffect, useRef, useState } from "preact/hooks";
import { paused } from "./pause.js";

/**
 * @template T
 * @typedef {{value: T|undefined, error: Error|null, loading: boolean, reload: () => void, soon: () => void}} Resource
 */

/**
 * @template T
 * @param {string|null} key what is loaded; with another key the value starts anew. `null` loads nothing
 * @param {(signal: AbortSignal) => Promise<T>} load
 * @param {{every?: number}} [options] `every`: the shortest time between two automatic loads, in milliseconds
 * @returns {Resource<T>} `reload` is for what a person did, `soon` for what changed by itself: that waits in a pause
 */
export function useResource(key, load, { every = 500 } = {}) {
  const [state, setState] = useState({ key, value: undefined, error: null, loading: key !== null });
  const current = useRef({ key, load, run: () => {}, soon: () => {} });
  current.current.load = load;

  useEffect(() => {
    if (key === null) return undefined;
    let abort = new AbortController();
    let timer = 0;
    let last = 0;
    const run = async () => {
      clearTimeout(timer);
      timer = 0;
      last = Date.now();
      abort.abort();
      abort = new AbortController();
      const { signal } = abort;
      try {
        const value = await current.current.load(signal);
        if (!signal.aborted) setState({ key, value, error: null, loading: false });
      } catch (error) {
        if (!signal.aborted) setState((before) => ({ ...before, key, error, loading: false }));
      }
    };
    const automatic = () => {
      timer = 0;
      if (!paused.peek()) run();
    };
    current.current.run = run;
    current.current.soon = () => {
      timer ||= setTimeout(automatic, Math.max(0, last + every - Date.now()));
    };
    setState((before) => (before.key === key ? before : { key, value: undefined, error: null, loading: true }));
    run();
    return () => {
      abort.abort();
      clearTimeout(timer);
      current.current.run = () => {};
      current.current.soon = () => {};
    };
  }, [key]);

  const fresh = state.key === key;
  return {
    value: fresh ? state.value : undefined,
    error: fresh ? state.error : null,
    loading: fresh ? state.loading : true,
    reload: () => current.current.run(),
    soon: () => current.current.soon(),
  };
}

/**
 * Whether something has been going on for long enough to be shown: what takes a moment only would flicker.
 * @param {boolean} active
 * @param {number} [after] in milliseconds
 */
export function useSlow(active, after = 300) {
  const [slow, setSlow] = useState(false);
  useEffect(() => {
    if (!active) {
      setSlow(false);
      return undefined;
    }
    const timer = setTimeout(() => setSlow(true), after);
    return () => clearTimeout(timer);
  }, [active]);
  return slow && active;
}
