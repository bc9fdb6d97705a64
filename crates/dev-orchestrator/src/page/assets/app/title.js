import { useEffect } from "preact/hooks";

/** @param {string} title of a view, for the window and its history */
export function useTitle(title) {
  useEffect(() => {
    document.title = `${title} · avtomatika`;
  }, [title]);
}
