import { useEffect, useMemo, useState } from "preact/hooks";
import { html } from "../html.js";
import { Empty, Failure } from "../components/empty.js";
import { Exchange } from "../components/exchange.js";
import { Icon } from "../components/icon.js";
import { Time } from "../components/time.js";
import { SpaceRow, useVirtualRows } from "../components/virtual.js";
import { duration, size } from "../format.js";
import { workers, workersVersion } from "../live/store.js";
import { useWire } from "../live/wire.js";
import { address, link, replace } from "../router.js";
import { visible } from "../text.js";
import { useTitle } from "../title.js";

const OPERATIONS = ["register", "heartbeat", "poll", "result", "event", "token", "websocket", "frame_in", "frame_out"];
const ROW = 36;

/** What workers and this server have said to each other. */
export function WireView() {
  useTitle("Wire");
  const { query } = address.value;
  const words = useMemo(() => new URLSearchParams(query), [query]);
  const worker = words.get("worker") ?? undefined;
  const operation = words.get("operation") ?? undefined;
  const wire = useWire({ worker, operation });
  const opened = Number(words.get("n") ?? NaN);
  const exchange = wire.exchanges.find(({ n }) => n === opened);
  const [last, setLast] = useState(null);
  // What is read stays, also when the server has forgotten it.
  useEffect(() => exchange && setLast(exchange), [exchange]);
  const shown = exchange ?? (last?.n === opened ? last : null);
  const change = (part) => replace(link("/wire", { worker, operation, ...part }));
  const show = (n) => change({ n: n === opened ? undefined : String(n) });

  return html`<div class="view-head">
      <h1>Wire</h1>
      <a class="button end" href=${link("/api/wire", { worker, operation, format: "har" })} download="avtomatika.har"
        ><${Icon} name="download" />Download HAR</a
      >
    </div>
    <${Filters} worker=${worker} operation=${operation} change=${change} exchanges=${wire.exchanges} />
    <div class=${`wire ${shown ? "opened" : ""}`}>
      <${Exchanges} wire=${wire} opened=${opened} show=${show} filtered=${Boolean(worker || operation)} />
      ${shown && html`<${Exchange} key=${shown.n} exchange=${shown} onClose=${() => change({})} />`}
    </div>`;
}

function Filters({ worker, operation, change, exchanges }) {
  workersVersion.value;
  const ids = new Set(workers.keys());
  for (const exchange of exchanges.slice(0, 1000)) if (exchange.worker_id) ids.add(exchange.worker_id);
  if (worker) ids.add(worker);
  return html`<div class="filters">
    <label class="field-inline"><span>Worker</span>
      <select
        class="input"
        value=${worker ?? ""}
        onChange=${(event) => change({ worker: event.target.value || undefined })}
      >
        <option value="" selected=${!worker}>All</option>
        ${[...ids].sort().map((id) => html`<option key=${id} value=${id} selected=${id === worker}>${visible(id)}</option>`)}
      </select>
    </label>
    <label class="field-inline"><span>Operation</span>
      <select
        class="input"
        value=${operation ?? ""}
        onChange=${(event) => change({ operation: event.target.value || undefined })}
      >
        <option value="" selected=${!operation}>All</option>
        ${OPERATIONS.map((name) => html`<option key=${name} value=${name} selected=${name === operation}>${name}</option>`)}
      </select>
    </label>
  </div>`;
}

function Exchanges({ wire, opened, show, filtered }) {
  const { exchanges } = wire;
  const rows = useVirtualRows(exchanges.length, ROW);
  if (wire.error && exchanges.length === 0) {
    return html`<${Failure} what="The exchanges cannot be shown" error=${wire.error} again=${wire.again} />`;
  }
  if (wire.loaded && exchanges.length === 0) {
    return filtered
      ? html`<${Empty} icon="search" title="No exchange matches"><p><a class="button" href="/wire">Show all</a></p><//>`
      : html`<${Empty} icon="wire" title="Nothing was said yet">
          <p>Every request of a worker, and every message of its websocket, is listed here with both bodies.</p>
        <//>`;
  }
  return html`<div class="table-box tall" ref=${rows.ref}>
    <table class="table exchanges" aria-label="Exchanges" aria-rowcount=${exchanges.length}>
      <thead>
        <tr>
          <th scope="col">Time</th><th scope="col">Worker</th><th scope="col">Operation</th><th scope="col">Status</th>
          <th scope="col" class="end">Bytes</th><th scope="col" class="end">Duration</th>
        </tr>
      </thead>
      <tbody>
        <${SpaceRow} key="above" height=${rows.above} columns=${6} />
        ${exchanges.slice(rows.first, rows.last).map(
          (exchange, at) => html`<tr
            key=${exchange.n}
            class=${exchange.n === opened ? "chosen" : ""}
            aria-rowindex=${rows.first + at + 1}
            onClick=${(event) => !event.target.closest("a, button") && show(exchange.n)}
          >
            <td class="number"><${Time} at=${exchange.at} /></td>
            <td class="clip">${visible(exchange.worker_id)}</td>
            <td>
              <button
                type="button"
                class="row-button"
                aria-expanded=${exchange.n === opened}
                onClick=${() => show(exchange.n)}
              >${visible(exchange.operation)}</button>
            </td>
            <td><${Status} exchange=${exchange} /></td>
            <td class="number end">${size((exchange.request_bytes ?? 0) + (exchange.response_bytes ?? 0))}</td>
            <td class="number end">${duration(exchange.seconds)}</td>
          </tr>`,
        )}
        <${SpaceRow} key="below" height=${rows.below} columns=${6} />
      </tbody>
    </table>
  </div>`;
}

function Status({ exchange }) {
  const { status, fault } = exchange;
  const bad = status === null ? Boolean(fault) : status >= 400;
  return html`<span class=${bad ? "bad-text" : ""}>${status ?? "none"}</span
    >${fault && html` <span class="tag">${visible(fault)}</span>`}`;
}
