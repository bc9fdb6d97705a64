import { html } from "../html.js";
import { duration } from "../format.js";
import { stats } from "../live/store.js";
import { Chart } from "./chart.js";

/** So many seconds are shown, and so few in the beginning. */
const SECONDS = 180;
const FEW = 60;
/** The line of what was submitted is a mean over so many seconds, so that it can be told from the bars. */
const MEAN = 5;

/** Throughput and latency of the last minutes. */
export function Charts() {
  const entries = lastSeconds(stats.value);
  return html`<div class="charts"><${Throughput} entries=${entries} /><${Latency} entries=${entries} /></div>`;
}

const small = (value) => (value < 1000 ? String(Math.round(value * 10) / 10) : `${Math.round(value / 100) / 10}k`);

function Throughput({ entries }) {
  const of = (name) => entries.map((entry) => entry[name] ?? 0);
  const [submitted, finished, failed] = [of("submitted"), of("finished"), of("failed")];
  const last = entries.at(-1) ?? {};
  const means = submitted.map((_, at) => mean(submitted.slice(Math.max(0, at - MEAN + 1), at + 1)));
  const draw = (x, y) => {
    const bars = (values, from) =>
      values
        .map((value, at) => (value ? `M${x(at)} ${y(from?.[at] ?? 0)}V${y((from?.[at] ?? 0) + value)}` : ""))
        .join("");
    const line = means.map((value, at) => `${at ? "L" : "M"}${x(at)} ${y(value).toFixed(1)}`).join("");
    return html`<g class="line-finished"><path class="chart-bars" d=${bars(finished)} /></g>
      <g class="line-failed"><path class="chart-bars" d=${bars(failed, finished)} /></g>
      <g class="line-submitted"><path d=${line} /></g>`;
  };
  return html`<${Chart}
    name="Throughput"
    description=${`In the newest second ${last.submitted ?? 0} tasks were submitted, ${last.finished ?? 0} finished, ${
      last.failed ?? 0
    } failed.`}
    times=${entries.map((entry) => entry.at)}
    highest=${Math.max(4, ...means, ...finished.map((value, at) => value + failed[at]))}
    format=${small}
    scale=${(value) => `${small(value)}/s`}
    series=${[
      { name: "finished", class: "line-finished", values: finished },
      { name: "failed", class: "line-failed", values: failed },
      { name: "submitted", class: "line-submitted", values: submitted },
    ]}
    draw=${draw}
  />`;
}

function Latency({ entries }) {
  const of = (name) => entries.map((entry) => entry[name] ?? null);
  const [half, most] = [of("p50"), of("p95")];
  const latest = entries.findLast((entry) => entry.p50 !== null && entry.p50 !== undefined);
  const draw = (x, y) => {
    const ranges = half
      .map((value, at) => (value === null ? "" : `M${x(at)} ${y(value)}V${y(most[at] ?? value)}`))
      .join("");
    const dots = half.map((value, at) => (value === null ? "" : `M${x(at)} ${y(value)}h0.01`)).join("");
    return html`<g class="line-late"><path class="chart-range" d=${ranges} /></g>
      <g class="line-finished"><path class="chart-dots" d=${dots} /></g>`;
  };
  return html`<${Chart}
    name="Latency"
    description=${
      latest
        ? `From submission to end, newest values: half of the tasks within ${duration(latest.p50)}, 95% within ${duration(
            latest.p95,
          )}.`
        : "No task has ended in the last minutes."
    }
    times=${entries.map((entry) => entry.at)}
    highest=${Math.max(0.1, ...most.map((value) => value ?? 0))}
    format=${duration}
    scale=${(value) => (value < 600 ? `${Math.round(value * 100) / 100} s` : `${Math.round(value / 60)} min`)}
    series=${[
      { name: "p50", class: "line-finished", values: half },
      { name: "p95", class: "line-late", values: most },
    ]}
    draw=${draw}
  />`;
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

const happened = (entry) => entry.submitted || entry.finished || entry.failed || entry.running || entry.queued;

/** The last seconds without gaps, also after a pause or when the server is young: then since something happens. */
function lastSeconds(entries) {
  const newest = entries.at(-1)?.at;
  if (newest === undefined) return [];
  const first = entries.find(happened)?.at ?? newest;
  const shown = Math.min(SECONDS, Math.max(FEW, Math.round(newest - first) + 5));
  const known = new Map(entries.slice(-shown).map((entry) => [Math.round(entry.at), entry]));
  const end = Math.round(newest);
  const none = { submitted: 0, finished: 0, failed: 0, p50: null, p95: null };
  return Array.from({ length: shown }, (_, at) => {
    const second = end - shown + 1 + at;
    return known.get(second) ?? { at: second, ...none };
  });
}
