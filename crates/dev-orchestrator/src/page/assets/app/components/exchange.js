import { html } from "../html.js";
import { duration, size } from "../format.js";
import { visible, visibleLines } from "../text.js";
import { Icon } from "./icon.js";
import { Json } from "./json-panel.js";
import { Time } from "./time.js";

/** @param {{exchange: import("../live/wire.js").Exchange, onClose: () => void}} props one exchange with both bodies */
export function Exchange({ exchange, onClose }) {
  const onKeyDown = (event) => {
    if (event.key === "Escape" && !event.defaultPrevented && event.target.tagName !== "INPUT") onClose();
  };
  return html`<aside class="exchange" aria-label=${`Exchange ${exchange.n}`} onKeyDown=${onKeyDown}>
    <header class="panel-head">
      <h2>${visible(exchange.operation)}</h2>
      <span class="muted"><${Time} at=${exchange.at} /> · ${duration(exchange.seconds)}</span>
      <button type="button" class="button small quiet end" aria-label="Close" onClick=${onClose}><${Icon} name="close" /></button>
    </header>
    <p class="exchange-line"><code>${visible(exchange.method)} ${visible(exchange.path)}</code></p>
    ${
      exchange.fault &&
      html`<p class="muted">Hit by the fault <a href="/faults"><code>${visible(exchange.fault)}</code></a>.</p>`
    }
    ${exchange.cut && html`<p class="muted">A body was larger than what is kept of it: 64 KiB.</p>`}
    <${Message} name="Request" message=${exchange.request} bytes=${exchange.request_bytes} />
    <${Message} name="Response" message=${exchange.response} bytes=${exchange.response_bytes} status=${exchange.status} />
  </aside>`;
}

/** @param {any} headers an object, or pairs @returns {[string, string][]} */
function pairs(headers) {
  if (!headers) return [];
  if (!Array.isArray(headers))
    return Object.entries(headers).map(([name, value]) => [name, [].concat(value).join(", ")]);
  return headers.map((header) => (Array.isArray(header) ? header : [header.name, header.value]));
}

function Message({ name, message, bytes, status }) {
  const headers = pairs(message?.headers);
  const body = message?.body;
  const text = body === null || body === undefined ? null : typeof body === "string" ? body : JSON.stringify(body);
  return html`<section class="message" aria-label=${name}>
    ${
      text && /^\s*[[{]/.test(text)
        ? html`<${Json} name=${name} text=${text} file=${name.toLowerCase()} />`
        : html`<header class="panel-head"><h2>${name}</h2><span class="muted">${size(bytes)}</span></header>
            ${
              text
                ? html`<pre class="plain-text">${visibleLines(text)}</pre>`
                : html`<p class="muted">${nothing(text, bytes)}</p>`
            }`
    }
    ${status !== undefined && html`<p class="muted">Status ${status ?? "none"}</p>`}
    ${
      headers.length > 0 &&
      html`<details class="headers">
        <summary>${headers.length} ${headers.length === 1 ? "header" : "headers"}</summary>
        <dl>
          ${headers.map(
            ([header, value]) => html`<div key=${header}><dt>${visible(header)}</dt><dd>${visible(value)}</dd></div>`,
          )}
        </dl>
      </details>`
    }
  </section>`;
}

const nothing = (text, bytes) => (text === null && bytes > 0 ? "The body is no longer kept." : "No body.");
