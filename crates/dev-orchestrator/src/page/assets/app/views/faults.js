import { useEffect } from "preact/hooks";
import { html } from "../html.js";
import { getJson } from "../api.js";
import { Empty, Failure } from "../components/empty.js";
import { FaultSwitch } from "../components/fault-switch.js";
import { useResource } from "../live/resource.js";
import { faults, workers, workersVersion } from "../live/store.js";
import { useTitle } from "../title.js";

const GROUPS = [
  { title: "Connections", names: ["refuse", "hang", "slow", "cut"] },
  { title: "Answers", names: ["error_5xx", "too_many", "unauthorized", "garbage"] },
  { title: "Workers and tasks", names: ["forget", "duplicate", "lose_ack"] },
  { title: "Storage", names: ["storage_slow", "storage_error", "storage_cut"] },
];

/** What can be made to go wrong, to see what a worker does about it. */
export function FaultsView() {
  useTitle("Faults");
  const asked = useResource("faults", async () => {
    const answer = await getJson("/api/faults");
    faults.value = answer.faults;
    return answer.faults;
  });
  // A switch that goes off by itself, and the number of requests hit, are asked for while one is on.
  const some = Object.values(faults.value).some((fault) => fault?.on);
  useEffect(() => {
    if (!some) return undefined;
    const timer = setInterval(() => !document.hidden && asked.soon(), 1000);
    return () => clearInterval(timer);
  }, [some]);
  workersVersion.value;

  const ids = [...workers.keys()].sort();
  const names = Object.keys(faults.value).filter((name) => typeof faults.value[name] === "object");
  const known = new Set(GROUPS.flatMap((group) => group.names));
  const groups = [...GROUPS, { title: "Others", names: names.filter((name) => !known.has(name)) }];
  return html`<div class="view-head">
      <h1>Faults</h1>
    </div>
    <p class="muted lead">
      Each switch breaks one thing between this server and its workers, never this page. Switch it off, and within a
      minute a verdict says how the workers came through.
    </p>
    ${names.length === 0 && html`<${Nothing} asked=${asked} />`}
    ${groups.map(({ title, names: members }) => {
      const here = members.filter((name) => names.includes(name));
      if (here.length === 0) return null;
      return html`<section class="fault-group" key=${title} aria-label=${title}>
        <h2>${title}</h2>
        ${here.map((name) => html`<${FaultSwitch} key=${name} name=${name} fault=${faults.value[name]} workers=${ids} />`)}
      </section>`;
    })}`;
}

function Nothing({ asked }) {
  if (asked.error) return html`<${Failure} what="Faults cannot be shown" error=${asked.error} again=${asked.reload} />`;
  return asked.value && html`<${Empty} icon="faults" title="This server has no faults to offer" />`;
}
