// JSON Schemas as forms see them: references followed, and the ways in which libraries say "or null" made one.

/** @typedef {any} Schema */
/** @typedef {"text"|"number"|"integer"|"boolean"|"choice"|"object"|"array"|"json"} Kind */

/** References that refer to each other end after so many steps. */
const STEPS = 16;

/**
 * @param {Schema} schema
 * @param {Schema} root the whole schema, which the references are relative to
 * @returns {Schema} the schema without `$ref` and single `allOf` at its top, and without `null` as an alternative
 */
export function resolve(schema, root) {
  let found = schema;
  for (let step = 0; step < STEPS; step += 1) {
    if (!found || typeof found !== "object") return {};
    const next = oneStep(found, root);
    if (!next) return found;
    found = next;
  }
  return {};
}

/** @returns {Schema|null} */
function oneStep(schema, root) {
  if (typeof schema.$ref === "string") {
    const { $ref, ...beside } = schema;
    return { ...follow($ref, root), ...beside };
  }
  if (Array.isArray(schema.allOf) && schema.allOf.length === 1) {
    const { allOf, ...beside } = schema;
    return { ...allOf[0], ...beside };
  }
  for (const word of ["anyOf", "oneOf"]) {
    const alternatives = schema[word];
    if (!Array.isArray(alternatives)) continue;
    const others = alternatives.filter((one) => one?.type !== "null");
    if (others.length === 1 && others.length < alternatives.length) {
      const { [word]: _, ...beside } = schema;
      return { ...others[0], ...beside };
    }
  }
  if (Array.isArray(schema.type)) {
    const types = schema.type.filter((type) => type !== "null");
    if (types.length === 1) return { ...schema, type: types[0] };
  }
  return null;
}

/** @param {string} reference `#/$defs/Size` @returns {Schema} */
export function follow(reference, root) {
  if (!reference.startsWith("#")) return {};
  let found = root;
  for (const part of reference.slice(1).split("/").filter(Boolean)) {
    found = found?.[decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~")];
  }
  return found ?? {};
}

/** @param {Schema} schema one that is resolved @returns {Kind} which field it gets */
export function kindOf(schema) {
  if (choices(schema)) return "choice";
  if (schema.anyOf || schema.oneOf || schema.allOf || schema.not) return "json";
  if (schema.type === "object" || (!schema.type && schema.properties)) return schema.properties ? "object" : "json";
  if (schema.type === "array")
    return schema.items && typeof schema.items === "object" && !Array.isArray(schema.items) ? "array" : "json";
  if (schema.type === "string") return "text";
  if (schema.type === "integer" || schema.type === "number" || schema.type === "boolean") return schema.type;
  return "json";
}

/**
 * @param {Schema} schema
 * @returns {{value: any, label: string}[]|null} the values to choose from, where there are only so many
 */
export function choices(schema) {
  const option = (value, one = {}) => ({
    value,
    label: one.title ?? (typeof value === "string" ? value : String(JSON.stringify(value))),
  });
  if (Array.isArray(schema.enum)) return schema.enum.map((value) => option(value));
  if ("const" in schema) return [option(schema.const)];
  const alternatives = schema.oneOf ?? schema.anyOf;
  if (!Array.isArray(alternatives) || alternatives.length === 0) return null;
  const constant = (one) => one && typeof one === "object" && ("const" in one || one.enum?.length === 1);
  if (!alternatives.every(constant)) return null;
  return alternatives.map((one) => option("const" in one ? one.const : one.enum[0], one));
}
