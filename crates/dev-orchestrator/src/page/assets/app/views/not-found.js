import { html } from "../html.js";
import { Empty } from "../components/empty.js";
import { useTitle } from "../title.js";

export function NotFoundView() {
  useTitle("Not found");
  return html`<h1 class="visually-hidden">Not found</h1>
    <${Empty} icon="search" title="There is nothing at this address">
      <p><a href="/">Go to the overview</a></p>
    <//>`;
}
