// The blueprints of which jobs can be submitted. In the field for the type, and in drafts, a job is `job:NAME`: no type of
// a task has a colon.

import { getJson } from "./api.js";

const PREFIX = "job:";

/** @param {string} type @returns {string|null} the name of the blueprint, if it is a job */
export const jobOf = (type) => (type.startsWith(PREFIX) ? type.slice(PREFIX.length) : null);

/** @param {string} name of a blueprint @returns {string} */
export const typeOfJob = (name) => PREFIX + name;

/** @returns {Promise<Map<string, {name: string, start: string, states: Object<string, {task: string}>}>>} by name */
export async function loadBlueprints(signal) {
  const { blueprints } = await getJson("/api/blueprints", { signal });
  return new Map(blueprints.map((blueprint) => [blueprint.name, blueprint]));
}

/** @returns {string} what a job of it does */
export function aboutJob({ name, start, states }) {
  const others = Object.keys(states).length - 1;
  const more = others === 0 ? "" : others === 1 ? ", and has one more state" : `, and has ${others} more states`;
  return `A job of the blueprint ${name}: it begins with ${states[start].task}${more}.`;
}
