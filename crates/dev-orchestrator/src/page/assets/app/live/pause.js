// Whether updates are paused.

import { signal } from "@preact/signals";

/** Nothing that is shown changes by itself while this is true. */
export const paused = signal(false);
/** The number of changes that wait for the end of the pause. */
export const waiting = signal(0);
