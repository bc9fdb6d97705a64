// The beginning: draws the frame, opens the stream.

import { render } from "preact";
import { html } from "./html.js";
import { Frame } from "./frame.js";
import { followLinks } from "./router.js";
import { listenForShortcuts } from "./shortcuts.js";
import { fetchHistory } from "./live/history.js";
import { openStream } from "./live/stream.js";
import { onOverflow, receive } from "./live/store.js";

followLinks();
listenForShortcuts();
fetchHistory();
onOverflow(openStream(receive));
render(html`<${Frame} />`, document.getElementById("app"));
