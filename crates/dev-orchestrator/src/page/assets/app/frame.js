// What is around every view: the navigation, the state of the connection, what failed, the faults that are on.

import { useEffect, useState } from "preact/hooks";
import { html } from "./html.js";
import { CopyDialog } from "./components/copy.js";
import { FaultBanner } from "./components/fault-banner.js";
import { Icon } from "./components/icon.js";
import { LiveState } from "./components/live-state.js";
import { Notices } from "./components/notices.js";
import { ShortcutsDialog } from "./components/shortcuts-dialog.js";
import { paused } from "./live/pause.js";
import { ready, togglePause } from "./live/store.js";
import { address, open, route } from "./router.js";
import { FaultsView } from "./views/faults.js";
import { NewTaskView } from "./views/new-task.js";
import { NotFoundView } from "./views/not-found.js";
import { OverviewView } from "./views/overview.js";
import { TaskView } from "./views/task.js";
import { TasksView } from "./views/tasks.js";
import { WireView } from "./views/wire.js";
import { WorkerView } from "./views/worker.js";
import { WorkersView } from "./views/workers.js";

const VIEWS = {
  overview: OverviewView,
  tasks: TasksView,
  task: TaskView,
  new: NewTaskView,
  workers: WorkersView,
  worker: WorkerView,
  wire: WireView,
  faults: FaultsView,
};

const LINKS = [
  { name: "Overview", path: "/", icon: "overview", views: ["overview"] },
  { name: "Tasks", path: "/tasks", icon: "tasks", views: ["tasks", "task", "new"] },
  { name: "Workers", path: "/workers", icon: "workers", views: ["workers", "worker"] },
  { name: "Wire", path: "/wire", icon: "wire", views: ["wire"] },
  { name: "Faults", path: "/faults", icon: "faults", views: ["faults"] },
];

/** The time for the first snapshot, in milliseconds: without it views are drawn twice, first empty and then full. */
const FIRST_SNAPSHOT = 500;

/** Whether there is something to show. */
function useBegun() {
  const [waited, setWaited] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setWaited(true), FIRST_SNAPSHOT);
    return () => clearTimeout(timer);
  }, []);
  return ready.value || waited;
}

/** The whole page. */
export function Frame() {
  const begun = useBegun();
  const { path } = address.value;
  const { view, id } = route(path);
  const View = VIEWS[view] ?? NotFoundView;
  return html`
    <a class="skip" href="#main">Skip to the content</a>
    <header class="top">
      <a class="brand" href="/" aria-label="avtomatika">
        <img src="/assets/icon.svg" alt="" width="22" height="22" /><span>avtomatika</span>
      </a>
      <${LiveState} />
      <div class="top-actions">
        <button
          type="button"
          class="button quiet pause"
          aria-pressed=${paused.value ? "true" : "false"}
          onClick=${togglePause}
        ><${Icon} name=${paused.value ? "play" : "pause"} /><span>Pause updates</span></button>
        <button type="button" class="button primary" onClick=${() => open("/new")}
          ><${Icon} name="plus" />New task</button
        >
      </div>
    </header>
    <nav class="main-nav" aria-label="Main">
      <ul>
        ${LINKS.map(
          ({ name, path: to, icon, views }) => html`<li key=${name}>
            <a href=${to} aria-current=${views.includes(view) ? "page" : undefined}>
              <${Icon} name=${icon} /><span>${name}</span>
            </a>
          </li>`,
        )}
      </ul>
      <p class="nav-hint" aria-hidden="true">Press <kbd>?</kbd> for shortcuts</p>
    </nav>
    <main id="main" tabindex="-1" class=${`view-${view}`}>
      <${FaultBanner} />
      <${Notices} />
      ${begun && html`<${View} key=${`${view} ${id ?? ""}`} id=${id} />`}
    </main>
    <${ShortcutsDialog} />
    <${CopyDialog} />
  `;
}
