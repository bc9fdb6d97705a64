// Reads JSON without losing anything: number spellings, the order of keys and keys that stand twice are kept.
// `JSON.parse` would turn 9007199254740993 into 9007199254740992, and that is what this module is for.

/**
 * @typedef {{kind: "object", entries: Entry[], cut?: boolean}} ObjectNode
 * @typedef {{kind: "array", items: JsonNode[], cut?: boolean}} ArrayNode
 * @typedef {{kind: "string", raw: string, value: string, cut?: boolean}} StringNode
 * @typedef {{kind: "number", raw: string}} NumberNode
 * @typedef {{kind: "literal", raw: "true"|"false"|"null"}} LiteralNode
 * @typedef {ObjectNode|ArrayNode|StringNode|NumberNode|LiteralNode} JsonNode
 * @typedef {{raw: string, key: string, value: JsonNode}} Entry
 */

/** Deeper values are shown as text: each level costs a frame of the stack. */
const DEEPEST = 500;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const TO_THE_END = /[0-9.eE+-]+$/y;
const SPACE = /[ \t\r\n]*/y;

/** What is wrong with a text, and where. */
export class JsonProblem extends Error {
  /** @param {string} reason @param {string} text @param {number} offset */
  constructor(reason, text, offset) {
    const before = text.slice(0, offset);
    const line = before.split("\n").length;
    const column = offset - before.lastIndexOf("\n");
    super(`line ${line}, column ${column}: ${reason}`);
    Object.assign(this, { reason, offset, line, column });
  }
}

/** Thrown inside of the reader when a text that was cut ends. */
class Cut extends Error {}

/**
 * Reads one JSON value.
 * @param {string} text
 * @param {{cut?: boolean}} [options] `cut`: the text is the beginning of a longer one; what is open at its end is
 *   closed, and marked as `cut`.
 * @returns {JsonNode}
 */
export function readJson(text, { cut = false } = {}) {
  const reader = new Reader(text, cut);
  try {
    const node = reader.value(0);
    reader.space();
    if (reader.at < text.length) reader.fail("expected the end of the text");
    return node;
  } catch (error) {
    if (!(error instanceof Cut)) throw error;
    return { kind: "string", raw: JSON.stringify(text), value: text, cut: true };
  }
}

class Reader {
  /** @param {string} text @param {boolean} cut */
  constructor(text, cut) {
    this.text = text;
    this.at = 0;
    this.mayEnd = cut;
  }

  fail(reason) {
    if (this.mayEnd && this.at >= this.text.length) throw new Cut();
    throw new JsonProblem(reason, this.text, this.at);
  }

  /** Ends the reading of a text that was cut, from within a value that is not shown. */
  end() {
    this.at = this.text.length;
    throw new Cut();
  }

  space() {
    SPACE.lastIndex = this.at;
    SPACE.test(this.text);
    this.at = SPACE.lastIndex;
  }

  /** @returns {JsonNode} */
  value(depth) {
    if (depth > DEEPEST) this.fail(`values are nested more than ${DEEPEST} levels deep`);
    this.space();
    const first = this.text[this.at];
    if (first === "{") return this.object(depth);
    if (first === "[") return this.array(depth);
    if (first === '"') return this.string();
    if (first === "-" || (first >= "0" && first <= "9")) return this.number();
    for (const word of ["true", "false", "null"]) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return { kind: "literal", raw: /** @type {any} */ (word) };
      }
    }
    if (this.mayEnd && ["true", "false", "null"].some((word) => word.startsWith(this.text.slice(this.at)))) this.end();
    return this.fail("expected a value");
  }

  number() {
    // A number that the cut went through would be shown as another one.
    if (this.mayEnd && this.endsInNumber()) this.end();
    NUMBER.lastIndex = this.at;
    const found = NUMBER.exec(this.text);
    if (!found) return this.fail("expected a digit after `-`");
    this.at = NUMBER.lastIndex;
    if (/[0-9.eE+-]/.test(this.text[this.at] ?? "")) this.fail("a number is not spelled like this in JSON");
    return { kind: "number", raw: found[0] };
  }

  /** Whether nothing but a number, or its beginning, stands between here and the end. */
  endsInNumber() {
    TO_THE_END.lastIndex = this.at;
    return TO_THE_END.test(this.text);
  }

  /** @returns {StringNode} */
  string() {
    const start = this.at;
    let at = start + 1;
    for (;;) {
      const code = this.text.charCodeAt(at);
      if (code === 34) break;
      if (code === 92) at += 2;
      else if (code < 32) {
        this.at = at;
        this.fail("a control character has to be written as an escape, such as `\\n`");
      } else if (Number.isNaN(code)) {
        return this.unendedString(start);
      } else at += 1;
    }
    const raw = this.text.slice(start, at + 1);
    if (!raw.includes("\\")) {
      this.at = at + 1;
      return { kind: "string", raw, value: raw.slice(1, -1) };
    }
    try {
      const value = JSON.parse(raw);
      this.at = at + 1;
      return { kind: "string", raw, value };
    } catch {
      this.at = start + raw.search(/\\(?!["\\/bfnrt]|u[0-9a-fA-F]{4})/);
      return this.fail("an escape is not spelled like this in JSON");
    }
  }

  unendedString(start) {
    this.at = this.text.length;
    if (!this.mayEnd) {
      this.at = start;
      this.fail("a text has no closing quote");
    }
    // An escape that the cut went through is left out.
    const whole = this.text.slice(start + 1).replace(/\\(?:u[0-9a-fA-F]{0,3})?$/, "");
    let value = whole;
    try {
      value = JSON.parse(`"${whole}"`);
    } catch {
      // Shown as it is spelled.
    }
    return { kind: "string", raw: `"${whole}"`, value, cut: true };
  }

  object(depth) {
    /** @type {ObjectNode} */
    const node = { kind: "object", entries: [] };
    this.at += 1;
    return this.list(node, "}", () => {
      if (this.text[this.at] !== '"') this.fail("expected a key in double quotes");
      const key = this.string();
      this.space();
      if (this.text[this.at] !== ":") this.fail("expected `:` after a key");
      this.at += 1;
      node.entries.push({ raw: key.raw, key: key.value, value: this.value(depth + 1) });
    });
  }

  array(depth) {
    /** @type {ArrayNode} */
    const node = { kind: "array", items: [] };
    this.at += 1;
    return this.list(node, "]", () => node.items.push(this.value(depth + 1)));
  }

  /** Reads what stands between brackets, up to the closing one. */
  list(node, closing, member) {
    try {
      this.space();
      if (this.text[this.at] === closing) {
        this.at += 1;
        return node;
      }
      for (;;) {
        this.space();
        member();
        this.space();
        const next = this.text[this.at];
        if (next === closing) break;
        if (next !== ",") this.fail(`expected \`,\` or \`${closing}\``);
        this.at += 1;
      }
      this.at += 1;
    } catch (error) {
      if (!(error instanceof Cut)) throw error;
      node.cut = true;
    }
    return node;
  }
}

/**
 * Finds the values of an object's keys in its text, without reading them: a task's params may have 16 MiB.
 * @param {string} text
 * @returns {Map<string, string>} the spelling of each value
 */
export function fieldTexts(text) {
  const fields = new Map();
  let at = text.indexOf("{") + 1;
  let depth = 0;
  let key = null;
  let start = at;
  const keep = (end) => {
    if (key !== null) fields.set(key, text.slice(start, end).trim());
    key = null;
  };
  for (; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 34) {
      const from = at;
      at = endOfString(text, at);
      if (depth === 0 && key === null) {
        key = JSON.parse(text.slice(from, at + 1));
        start = text.indexOf(":", at + 1) + 1;
        at = start - 1;
      }
    } else if (code === 123 || code === 91) depth += 1;
    else if (code === 125 || code === 93) {
      if (depth === 0) {
        keep(at);
        break;
      }
      depth -= 1;
    } else if (code === 44 && depth === 0) keep(at);
  }
  return fields;
}

function endOfString(text, from) {
  let at = from + 1;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === 34) return at;
    at += code === 92 ? 2 : 1;
  }
  return at;
}
