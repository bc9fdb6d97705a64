import { useEffect, useId, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { send } from "../api.js";
import { counted, duration, elapsed, perSecond } from "../format.js";
import { now } from "../live/clock.js";
import { faults } from "../live/store.js";
import { notify } from "../notices.js";
import { taskLink } from "../router.js";
import { visible } from "../text.js";
import { Time } from "./time.js";
import { Icon } from "./icon.js";
import { Prose } from "./prose.js";

/** The faults that answer late, and by how much can be said. */
const LATE = ["slow", "storage_slow"];
const FIELDS = [
  { name: "rate", label: "Rate", min: 0, max: 1, step: 0.1, hint: "1" },
  { name: "for", label: "Seconds", min: 1, step: 1, hint: "endless" },
];
const DELAY = { name: "delay", label: "Delay", min: 0.1, max: 60, step: 0.1, hint: "3" };

/** One fault: its switch, what it hits, and the verdict of the last time. */
export function FaultSwitch({ name, fault, workers }) {
  const id = useId();
  const [busy, setBusy] = useState(false);
  // What was typed stays here, whatever the server tells meanwhile.
  const latest = useRef(null);
  latest.current ??= {
    rate: fault.on && fault.rate !== 1 ? String(fault.rate) : "",
    for: fault.on && fault.for ? String(fault.for) : "",
    delay: "",
    worker: fault.worker ?? "",
  };
  const [typed, setTyped] = useState(latest.current);

  const [before, setBefore] = useState(null);
  const waits = before !== null && !fault.on && fault.verdict === before.verdict;

  const put = async (on) => {
    const values = latest.current;
    const body = { on };
    if (on) {
      for (const field of ["rate", "for", "delay"]) if (values[field] !== "") body[field] = Number(values[field]);
      if (values.worker) body.worker = values.worker;
    }
    setBusy(true);
    try {
      const answer = await send("PUT", "/api/faults", JSON.stringify({ [name]: body }));
      faults.value = answer.faults;
      setBefore(on ? null : { verdict: answer.faults[name]?.verdict });
    } catch (error) {
      notify(`Switch ${name} ${on ? "on" : "off"}`, error);
    }
    setBusy(false);
  };
  const enter = (field, value, done) => {
    latest.current = { ...latest.current, [field]: value };
    setTyped(latest.current);
    if (done && fault.on) put(true);
  };
  const fields = LATE.includes(name) ? [...FIELDS, DELAY] : FIELDS;
  return html`<div class=${`fault panel ${fault.on ? "on" : ""}`} role="group" aria-label=${name}>
    <div class="fault-head">
      <button
        type="button"
        role="switch"
        class="switch"
        aria-checked=${fault.on ? "true" : "false"}
        aria-label=${name}
        aria-describedby=${id}
        disabled=${busy}
        onClick=${() => put(!fault.on)}
      ><i></i></button>
      <div class="fault-text">
        <h3><code>${visible(name)}</code> <${State} fault=${fault} /></h3>
        <div id=${id}>
          <p><${Prose} text=${fault.about} /></p>
          ${fault.good_worker && html`<p class="muted"><${Prose} text=${fault.good_worker} /></p>`}
        </div>
      </div>
      <div class="fault-fields">
        ${fields.map(
          ({ name: field, label, hint, ...limits }) => html`<label key=${field}>
            <span>${label}</span>
            <input
              type="number"
              class="input"
              ...${limits}
              step="any"
              placeholder=${hint}
              value=${typed[field]}
              onInput=${(event) => enter(field, event.target.value, false)}
              onChange=${(event) => enter(field, event.target.value, true)}
            />
          </label>`,
        )}
        <label>
          <span>Worker</span>
          <select class="input" value=${typed.worker} onChange=${(event) => enter("worker", event.target.value, true)}>
            <option value="">All</option>
            ${[...new Set([...workers, ...(typed.worker ? [typed.worker] : [])])].map(
              (worker) =>
                html`<option key=${worker} value=${worker} selected=${worker === typed.worker}>${visible(worker)}</option>`,
            )}
          </select>
        </label>
      </div>
    </div>
    ${waits && html`<p class="verdict-waits muted">Looking at how the workers recover. The verdict comes within a minute.</p>`}
    ${fault.verdict && !fault.on && !waits && html`<${Verdict} name=${name} verdict=${fault.verdict} />`}
  </div>`;
}

function State({ fault }) {
  const [since, setSince] = useState(null);
  // The time that is left is told once in a while; between two it is counted here.
  useEffect(() => setSince(now.peek()), [fault.left]);
  if (!fault.on) return null;
  const left = Number.isFinite(fault.left) && since !== null ? fault.left - (now.value - since) : null;
  const words = [
    "on",
    fault.rate < 1 && `for ${Math.round(fault.rate * 100)}% of them`,
    left !== null && `${elapsed(left)} left`,
    `${counted(fault.hits ?? 0, "request")} hit`,
  ];
  return html`<span class="fault-state">${words.filter(Boolean).join(", ")}</span>`;
}

function Verdict({ name, verdict }) {
  const lost = verdict.lost ?? [];
  const facts = [
    ["Recovered after", verdict.recovered_after === null ? "not" : duration(verdict.recovered_after)],
    ["Results sent again", String(verdict.results_again ?? 0)],
    ["Tasks lost", String(verdict.tasks_lost ?? 0)],
    ["Requests", perSecond(verdict.requests_per_second)],
    ["Workers", String(verdict.workers ?? 0)],
  ];
  return html`<section class=${`verdict ${verdict.ok ? "ok" : "not-ok"}`} aria-label=${`Verdict of ${name}`}>
    <p class="verdict-text">
      <${Icon} name=${verdict.ok ? "check" : "warning"} />
      <b>${verdict.ok ? "Held" : "Broken"}</b> <span><${Prose} text=${verdict.text} /></span>
    </p>
    <dl class="facts">
      ${facts.map(([word, value]) => html`<div key=${word}><dt>${word}</dt><dd>${value}</dd></div>`)}
      ${Number.isFinite(verdict.from) && html`<div><dt>From</dt><dd><${Time} at=${verdict.from} /></dd></div>`}
      ${Number.isFinite(verdict.to) && html`<div><dt>To</dt><dd><${Time} at=${verdict.to} /></dd></div>`}
    </dl>
    ${
      lost.length > 0 &&
      html`<ul class="lost" aria-label="Lost tasks">
        ${lost.slice(0, 20).map((job) => html`<li key=${job}><a href=${taskLink(job)}><code>${visible(job)}</code></a></li>`)}
        ${lost.length > 20 && html`<li>and ${lost.length - 20} more</li>`}
      </ul>`
    }
  </section>`;
}
