// The one place that binds the template language to the library that draws it.

import { h } from "preact";
import htm from "htm";

/** Makes elements from a template. Values are always text or attributes, never markup. */
export const html = htm.bind(h);
