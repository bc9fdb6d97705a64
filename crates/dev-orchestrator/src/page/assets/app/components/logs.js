// Lines of a log, as they come.

import { memo } from "./memo.js";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { getJson } from "../api.js";
import { counted, utcTime } from "../format.js";
import { onChanges } from "../live/store.js";
import { paused } from "../live/pause.js";
import { visible, visibleLines } from "../text.js";
import { Prose } from "./prose.js";

/** So many lines are kept: as many as the server keeps. */
const KEPT = 10_000;
/** Lines that are drawn together: those that are complete are not drawn again. */
const CHUNK = 100;
/** Chunks that are drawn until earlier ones are asked for. */
const DRAWN = 10;

/**
 * @param {{address: string, jobId?: string, every?: number, name?: string}} props
 *   `jobId`: the stream brings new lines of this job. Without it they are asked for `every` so many milliseconds.
 */
export function Logs({ address, jobId, every = 0, name = "Logs" }) {
  // `from` is the place of the first line that is kept, among all that have come.
  const [{ lines, from }, setLines] = useState({ lines: [], from: 0 });
  const [dropped, setDropped] = useState(0);
  const [missing, setMissing] = useState(false);
  const next = useRef(0);

  useEffect(() => {
    let ended = false;
    let busy = false;
    let again = false;
    const fetchMore = async () => {
      again = busy;
      if (busy) return;
      busy = true;
      try {
        const answer = await getJson(`${address}?after=${next.current}`);
        if (!ended) {
          add(answer.lines ?? []);
          setDropped(answer.dropped ?? 0);
          setMissing(false);
        }
      } catch (error) {
        if (!ended) setMissing(error.status === 404);
      }
      busy = false;
      if (again && !ended) fetchMore();
    };
    const add = (more) => {
      const fresh = more.filter((line) => line.n > next.current);
      if (fresh.length === 0) return;
      next.current = fresh.at(-1).n;
      setLines((before) => {
        const all = [...before.lines, ...fresh];
        const over = Math.max(0, all.length - KEPT);
        return { lines: all.slice(over), from: before.from + over };
      });
    };
    fetchMore();
    const timer = every && setInterval(() => !paused.peek() && !document.hidden && fetchMore(), every);
    const stop = onChanges(({ logs, reloaded }) => {
      if (reloaded) fetchMore();
      const own = logs.filter((log) => jobId && log.job_id === jobId).map((log) => log.line);
      // Lines that come while earlier ones are on their way have to wait for those.
      if (busy && own.length > 0) again = true;
      else add(own);
    });
    return () => {
      ended = true;
      clearInterval(timer);
      stop();
    };
  }, [address]);
  return html`<${Lines} name=${name} lines=${lines} from=${from} dropped=${dropped} missing=${missing} />`;
}

function Lines({ name, lines, from, dropped, missing }) {
  const [drawn, setDrawn] = useState(DRAWN);
  const [focused, setFocused] = useState(false);
  const box = useRef(null);
  const atEnd = useRef(true);

  useLayoutEffect(() => {
    if (atEnd.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines]);
  const onScroll = () => {
    const { scrollTop, scrollHeight, clientHeight } = box.current;
    atEnd.current = scrollHeight - scrollTop - clientHeight < 24;
  };
  const chunks = [];
  // Chunks begin at fixed places, so that a new line changes the last one only.
  lines.forEach((line, at) => {
    const key = Math.floor((from + at) / CHUNK);
    if (chunks.at(-1)?.key === key) chunks.at(-1).lines.push(line);
    else chunks.push({ key, lines: [line] });
  });
  const hidden = Math.max(0, chunks.length - drawn);
  const earlier = () => setDrawn(drawn + 3 * DRAWN);
  return html`<section class="panel flush logs" aria-label=${`${name} of the worker`}>
    <header class="panel-head">
      <h2>${name}</h2>
      <span class="muted">
        ${lines.length > 0 && counted(lines.length, "line")}${dropped > 0 && `, ${dropped} older ones were dropped`}
      </span>
    </header>
    <div
      class="log"
      role="log"
      aria-label=${name}
      aria-live=${focused ? "polite" : "off"}
      tabindex="0"
      ref=${box}
      onScroll=${onScroll}
      onFocus=${() => setFocused(true)}
      onBlur=${() => setFocused(false)}
    >
      ${hidden > 0 && html`<button type="button" class="button small" onClick=${earlier}>Show earlier lines</button>`}
      ${chunks.slice(hidden).map(({ key, lines: some }) => html`<${Chunk} key=${key} lines=${some} count=${some.length} />`)}
      ${lines.length === 0 && html`<p class="muted">${missing ? "The server keeps no log of it." : html`<${Prose} text=${EMPTY} />`}</p>`}
    </div>
  </section>`;
}

const EMPTY =
  "No lines yet. They come from workers that `avtomatika dev -- COMMAND` has started, and from any worker that sends " +
  "OTLP to /v1/logs.";

const Chunk = memo(
  ({ lines }) => lines.map((line) => html`<${Line} key=${line.n} line=${line} />`),
  (before, after) => before.count === after.count && before.lines[0]?.n === after.lines[0]?.n,
);

const clock = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
});

function Line({ line }) {
  const level = String(line.level ?? "").toLowerCase();
  return html`<div class=${`log-line ${level}`}>
    <time datetime=${utcTime(line.at)} title=${visible(line.source)}>${clock.format(line.at * 1000)}</time>
    <span class="log-level">${visible(level)}</span>
    <span class="log-text">${visibleLines(line.text)}</span>
  </div>`;
}
