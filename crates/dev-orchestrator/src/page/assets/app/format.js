// Numbers, times and durations as people read them.

const plural = new Intl.PluralRules("en");

/**
 * @param {number} count
 * @param {string} noun in the singular
 * @returns {string} `1 task`, `50 tasks`
 */
export function counted(count, noun) {
  return `${count} ${plural.select(count) === "one" ? noun : `${noun}s`}`;
}

/**
 * @param {number|null|undefined} seconds clocks may disagree: below 0 is 0
 * @returns {string} `0.42 s`, `12.3 s`, `3 min 5 s`, `2 h 5 min`
 */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "";
  const time = Math.max(0, seconds);
  if (time > 0 && time < 0.0005) return "< 0.001 s";
  if (time > 0 && time < 0.0995) return `${time.toFixed(3)} s`;
  if (time < 9.995) return `${time.toFixed(2)} s`;
  if (time < 59.95) return `${time.toFixed(1)} s`;
  const whole = Math.round(time);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

/** @param {number} seconds @returns {string} a time of something that goes on: whole seconds, so that it stays calm */
export function elapsed(seconds) {
  const time = Math.max(0, seconds);
  return time < 60 ? `${Math.floor(time)} s` : duration(Math.floor(time));
}

/** @param {number|null|undefined} bytes @returns {string} `12 bytes`, `3.4 KiB`, `256 KiB` */
export function size(bytes) {
  if (bytes === null || bytes === undefined) return "";
  if (bytes < 1024) return counted(bytes, "byte");
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let value = bytes / 1024;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value < 10 && !Number.isInteger(value) ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

/** @param {number} at seconds since 1970 @returns {string} the local time, with the day unless it is today */
export function localTime(at) {
  const date = new Date(at * 1000);
  const time = clock.format(date);
  return date.toDateString() === new Date().toDateString() ? time : `${day.format(date)} ${time}`;
}

/** @param {number} at @returns {string} for the attribute `datetime`: in UTC */
export function utcTime(at) {
  return new Date(at * 1000).toISOString();
}

/** @param {number|null|undefined} rate @returns {string} */
export function perSecond(rate) {
  if (rate === null || rate === undefined) return "";
  return `${rate < 10 ? Math.round(rate * 10) / 10 : Math.round(rate)}/s`;
}
