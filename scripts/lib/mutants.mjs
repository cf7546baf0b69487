// Reads the mutants of tests/mutants/*.md and applies them to a copy of the tree.

import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { inRoot } from "./paths.mjs";
import { Problem } from "./ui.mjs";

const TEST = /^cargo test --test (\w+) (\w+)$/;
const SIMULATION = /^npm run simulate -- (.+)$/;

/** Reads every mutant, in the order of the pages. */
export function readMutants() {
  const pages = readdirSync(inRoot("tests", "mutants")).filter((name) => name.endsWith(".md") && name !== "README.md");
  return pages.sort().flatMap((page) => parse(page, readFileSync(inRoot("tests", "mutants", page), "utf8")));
}

function parse(page, text) {
  return text.split("\n## ").slice(1).map((section) => {
    const name = section.slice(0, section.indexOf("\n")).trim();
    const file = /^- in `([^`]+)`$/m.exec(section)?.[1];
    const commands = [...section.matchAll(/^- caught by `([^`]+)`$/gm)].map(([, command]) => command);
    const catchers = commands.map((command) => catcher(page, name, command));
    const edits = [...section.matchAll(/^```diff\n(.*?)\n```$/gms)].map(([, lines]) => edit(lines.split("\n")));
    if (!file || catchers.length === 0 || edits.length === 0) {
      throw new Problem(
        `${page}: ${name} lacks a file, a catcher or a change.`,
        "See tests/mutants/README.md for how to write one.",
      );
    }
    return { name, file, catchers, edits };
  });
}

function catcher(page, name, command) {
  const test = TEST.exec(command);
  if (test) return { command, target: test[1], args: [test[2]] };
  const simulation = SIMULATION.exec(command);
  if (simulation) return { command, target: "simulate", args: simulation[1].split(" ") };
  throw new Problem(`${page}: ${name} is caught by ${JSON.stringify(command)}, which is not a known command.`);
}

function edit(lines) {
  const side = (left) => lines.filter((line) => !line.startsWith(left)).map((line) => `${line.slice(1)}\n`).join("");
  return { find: side("+"), replacement: side("-") };
}

/** The text with the change applied. Throws a `Problem` if it does not apply. */
function changed(text, { find, replacement }, mutant) {
  // A change starts at the start of a line.
  const pieces = `\n${text}`.split(`\n${find}`);
  if (pieces.length !== 2) {
    throw new Problem(
      `${mutant.name} does not apply: its lines occur ${pieces.length - 1} times in ${mutant.file}, not once.`,
      "Update it in tests/mutants to match the code.",
    );
  }
  return pieces.join(`\n${replacement}`).slice(1);
}

/** Changes the file of a mutant below `tree`. Returns a function that restores it. */
export function apply(mutant, tree) {
  const path = join(tree, mutant.file);
  const original = readFileSync(path, "utf8");
  writeFileSync(path, mutant.edits.reduce((text, edit) => changed(text, edit, mutant), original));
  return () => writeFileSync(path, original);
}
