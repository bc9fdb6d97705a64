// What a newcomer sees: how a worker gets here.

import { html } from "../html.js";
import { getJson } from "../api.js";
import { useResource } from "../live/resource.js";
import { visible } from "../text.js";
import { CopyButton } from "./copy.js";

/** @param {any} health @returns {string[]} the lines that a worker in another terminal needs */
function lines(health) {
  const told = health?.environment ?? health?.worker_environment ?? {};
  const values = {
    ORCHESTRATOR_URL: location.origin,
    WORKER_TOKEN: "<the token that `avtomatika dev` has printed>",
    WORKER_ENABLE_WEBSOCKETS: "true",
    ...told,
  };
  return Object.entries(values).map(([name, value]) => `export ${name}=${quoted(String(value))}`);
}

const quoted = (value) => (/^[\w./:@%+=-]+$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`);

export function Welcome() {
  const health = useResource("health", () => getJson("/api/health"));
  const text = lines(health.value).join("\n");
  return html`<section class="welcome" aria-labelledby="welcome">
    <h2 id="welcome">Ready for your first worker</h2>
    <p class="lead">
      Nothing is connected yet. Start a worker with these variables, and it appears here by itself.
    </p>
    <ol>
      <li>
        <h3>Point a worker at this server</h3>
        <div class="code-block">
          <pre><code>${visibleText(text)}</code></pre>
          <${CopyButton} label="Copy" class="small" text=${() => text} />
        </div>
      </li>
      <li>
        <h3>Start it</h3>
        <p>
          For example <code>python worker.py</code> or <code>cargo run</code>. Or let the server start it, and start it
          again when its files change: <code>avtomatika dev --watch -- python worker.py</code>
        </p>
      </li>
      <li>
        <h3>Give it something to do</h3>
        <p>
          <a href="/new">New task</a> makes a form from what the worker says it takes. A task can be submitted before
          there is a worker, too: it waits.
        </p>
      </li>
    </ol>
  </section>`;
}

const visibleText = (text) => text.split("\n").map(visible).join("\n");
