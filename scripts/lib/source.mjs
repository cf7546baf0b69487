// Reads a configuration file of wrangler, TOML or JSON with comments: its value, and the position of each field.

import { readFileSync } from "node:fs";
import { relative } from "node:path";

import { isClone } from "./paths.mjs";
import { Problem } from "./ui.mjs";

/** The key of a path in the map of places. */
const keyOf = (path) => JSON.stringify(path);

/** How deep a value may be nested. wrangler's fields need fewer than ten levels; the recursion below stays shallow. */
const DEPTH_MAX = 64;
const TOO_DEEP = `nested too deep: at most ${DEPTH_MAX} levels are read`;

/** The text of a file. Throws a `Problem` if it cannot be read. */
export function readFile(file) {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const remedy = isClone ? "Restore it, or name another file." : "Make one here: npx raincheck init";
    throw new Problem(`${shownPath(file)}: cannot be read: ${error.message}`, remedy);
  }
}

/**
 * Reads a file. Returns `value`, and `place(path)`, which returns `LINE:COLUMN` of the field at a path or, if it is
 * absent, of the innermost table on the path. Needs the npm packages. Throws a `Problem` if the syntax is invalid.
 */
export async function readSource(file) {
  const text = readFile(file);
  const { value, places } = await (/\.jsonc?$/.test(file) ? readJson : readToml)(file, text).catch((error) => {
    // The stack of a parser overflows before the depth can be checked.
    throw error instanceof RangeError ? syntaxError(file, ...deepest(text), TOO_DEEP) : error;
  });
  const place = (path) => {
    for (let length = path.length; length > 0; length -= 1) {
      const found = places.get(keyOf(path.slice(0, length)));
      if (found) return found;
    }
    return undefined;
  };
  return { file, value, place };
}

/** A path relative to the current directory, if it is inside. */
export function shownPath(file) {
  const short = relative(process.cwd(), file);
  return short.startsWith("..") ? file : short;
}

function syntaxError(file, line, column, message, hint) {
  return new Problem(`${shownPath(file)}:${line}:${column}: ${message}${hint === undefined ? "" : `: ${hint}`}`);
}

const NO_VALUE = 'text needs quotes, as in name = "reports"; true, false and numbers have none';

/** What to look for, by the parser's message; it has no code. */
const TOML_HINTS = {
  "Unterminated string constant": "a closing quote is missing on this line, or before it",
  "Unterminated array": "a ] is missing",
  "Unterminated inline table": "a } is missing",
  "Unterminated table-key": "a ] is missing after the name of a table",
  "The key, equals sign, and value must be on the same line": "the line before may lack a ] or a value",
  "Must be a newline": "something follows the value; durations and other text need quotes, and a comment begins with #",
  "Expected equal (=) token": "a line is NAME = VALUE, and a name with spaces needs quotes",
  "Unspecified values are invalid": NO_VALUE,
  "Expected comma (,) token": "a comma or a ] is missing before this place",
  "Defining a key multiple times is invalid": "the same field or table is further up; remove one of them, or write [[...]] for each entry of a list",
  "Unexpected character": `${NO_VALUE}; a list ends with ], and a comment begins with #`,
  "Invalid character in escape sequence": "write \\\\ for a backslash, or put the text into single quotes",
};

/** Line and column of the bracket that is nested deepest, for a text that no parser can read. */
function deepest(text) {
  let [line, start, depth, most, at] = [1, 0, 0, 0, [1, 1]];
  for (let index = 0; index < text.length; index += 1) {
    const char = text[index];
    if (char === "\n") [line, start] = [line + 1, index + 1];
    if (char === "[" || char === "{") depth += 1;
    if (char === "]" || char === "}") depth -= 1;
    if (depth > most) [most, at] = [depth, [line, index - start + 1]];
  }
  return at;
}

async function readToml(file, text) {
  const { ParseError, getStaticTOMLValue, parseTOML } = await import("toml-eslint-parser");
  let document;
  try {
    document = parseTOML(text);
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    throw syntaxError(file, error.lineNumber, error.column + 1, error.message, TOML_HINTS[error.message]);
  }
  const places = new Map();
  const [top] = document.body;
  note({ file, places }, [], top.body);
  return { value: getStaticTOMLValue(document), places };
}

/** Records the places of the entries of the TOML table at `path`. */
function note(source, path, entries) {
  const { file, places } = source;
  for (const entry of entries) {
    const at = `${entry.loc.start.line}:${entry.loc.start.column + 1}`;
    if (entry.type === "TOMLTable") {
      places.set(keyOf(entry.resolvedKey), at);
      note(source, entry.resolvedKey, entry.body);
      continue;
    }
    const below = [...path, ...entry.key.keys.map((key) => key.name ?? key.value)];
    const { line, column } = entry.loc.start;
    if (below.length > DEPTH_MAX) throw syntaxError(file, line, column + 1, TOO_DEEP);
    places.set(keyOf(below), at);
    noteValue(source, below, entry.value);
  }
}

function noteValue(source, path, value) {
  const { file, places } = source;
  if (value.type === "TOMLInlineTable") note(source, path, value.body);
  if (value.type !== "TOMLArray") return;
  value.elements.forEach((element, index) => {
    const { line, column } = element.loc.start;
    if (path.length >= DEPTH_MAX) throw syntaxError(file, line, column + 1, TOO_DEEP);
    places.set(keyOf([...path, index]), `${line}:${column + 1}`);
    noteValue(source, [...path, index], element);
  });
}

async function readJson(file, text) {
  const { getNodeValue, parseTree, printParseErrorCode } = await import("jsonc-parser");
  const positions = (offset) => {
    const before = text.slice(0, offset).split("\n");
    return [before.length, before.at(-1).length + 1];
  };
  const errors = [];
  const tree = parseTree(text, errors, { allowTrailingComma: true });
  if (errors.length > 0 || tree?.type !== "object") {
    const [{ error, offset } = { offset: 0 }] = errors;
    const message = error === undefined ? "not a JSON object" : printParseErrorCode(error);
    throw syntaxError(file, ...positions(offset), message);
  }
  const places = new Map();
  const walk = (node, path) => {
    if (path.length > DEPTH_MAX) throw syntaxError(file, ...positions(node.offset), TOO_DEEP);
    if (path.length > 0) {
      const named = node.parent?.type === "property" ? node.parent : node;
      places.set(keyOf(path), positions(named.offset).join(":"));
    }
    if (node.type === "object") for (const { children: [name, value] } of node.children) walk(value, [...path, name.value]);
    if (node.type === "array") node.children.forEach((child, index) => walk(child, [...path, index]));
  };
  walk(tree, []);
  return { value: getNodeValue(tree), places };
}
