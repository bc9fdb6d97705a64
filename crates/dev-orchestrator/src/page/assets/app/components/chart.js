// A chart of the last minutes, one point per second. It is a picture for those who see it, with its newest values as
// its description for those who do not.

import { useId, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { localTime } from "../format.js";

const WIDTH = 600;
const HEIGHT = 120;
/** Bars of fewer seconds than that have room to be wide. */
const FEW = 90;

/**
 * @typedef {{name: string, class: string, values: (number|null)[]}} Series
 * @param {{name: string, description: string, times: number[], series: Series[], highest: number,
 *   format: (value: number) => string, scale: (value: number) => string,
 *   draw: (x: (index: number) => number, y: (value: number) => number) => any}} props
 *   `draw` makes the paths, from places in seconds and values to places in the picture.
 */
export function Chart({ name, description, times, series, highest, format, scale, draw }) {
  const id = useId();
  const box = useRef(null);
  const [at, setAt] = useState(null);
  const top = roundUp(highest);
  const x = (index) => ((index + 0.5) / Math.max(1, times.length)) * WIDTH;
  const y = (value) => HEIGHT - (value / top) * HEIGHT;

  const point = (event) => {
    const { left, width } = box.current.getBoundingClientRect();
    const index = Math.floor(((event.clientX - left) / width) * times.length);
    setAt(Math.max(0, Math.min(times.length - 1, index)));
  };
  const index = at === null ? null : Math.min(at, times.length - 1);
  return html`<figure class="chart">
    <figcaption>
      <span class="chart-name">${name}</span>
      <${Legend} series=${series} index=${index} format=${format} />
    </figcaption>
    <div class="chart-body">
      <div class="chart-scale" aria-hidden="true"><span>${scale(top)}</span><span>0</span></div>
      <div class="chart-plot" ref=${box} onPointerMove=${point} onPointerLeave=${() => setAt(null)}>
        <svg
          role="img"
          aria-label=${name}
          aria-describedby=${id}
          viewBox=${`0 0 ${WIDTH} ${HEIGHT}`}
          preserveAspectRatio="none"
          class=${times.length < FEW ? "few" : ""}
        >
          <path class="chart-grid" d=${`M0 0H${WIDTH} M0 ${HEIGHT / 2}H${WIDTH} M0 ${HEIGHT}H${WIDTH}`} />
          ${index !== null && html`<path class="chart-cursor" d=${`M${x(index)} 0V${HEIGHT}`} />`}
          ${times.length > 0 && draw(x, y)}
        </svg>
      </div>
      <div class="chart-times" aria-hidden="true">
        <span>${times.length ? localTime(times[0]) : ""}</span>
        <span>${index !== null && times.length ? localTime(times[index]) : ""}</span>
        <span>${times.length ? localTime(times.at(-1)) : ""}</span>
      </div>
    </div>
    <p class="visually-hidden" id=${id}>${description}</p>
  </figure>`;
}

/** The values at the pointer, or the newest ones. */
function Legend({ series, index, format }) {
  return html`<span class="legend">
    ${series.map(({ name, class: className, values }) => {
      const value = index === null ? values.findLast((one) => one !== null) : values[index];
      return html`<span class=${className}
        ><i></i>${name} <b>${value === null || value === undefined ? "none" : format(value)}</b></span
      >`;
    })}
  </span>`;
}

/** The next number that is round enough for the end of a scale. */
function roundUp(value) {
  if (value <= 0) return 1;
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 10].map((step) => step * unit).find((step) => step >= value) ?? 10 * unit;
}
