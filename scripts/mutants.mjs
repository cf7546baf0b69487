// `npm run mutants`: breaks the code on purpose, one mutant at a time, and expects the tests to fail.

import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { apply, readMutants } from "./lib/mutants.mjs";
import { inRoot } from "./lib/paths.mjs";
import { checkPrerequisites } from "./lib/prerequisites.mjs";
import { capture } from "./lib/run.mjs";
import { Problem, elapsed, main, readArguments, step } from "./lib/ui.mjs";

const HELP = `
npm run mutants [-- OPTIONS]: applies the mutants of tests/mutants one at a time and runs the tests that must catch them.

  --only NAME   only this mutant; may be repeated
  --list        only print their names and catchers
  --help        show this text

Works on a copy of the tree in the temporary directory and builds in target/mutants. The exit status is 1 if a mutant
survives, does not apply, or does not compile.
`;

/** A catcher that takes this many times as long as without the mutant is taken to hang, which counts as caught. */
const PATIENCE = 20;
/** The least time before a catcher is taken to hang: other load on the machine must not count as a catch. */
const LEAST_PATIENCE_MS = 60_000;
/** A build that takes longer is taken to hang. */
const BUILD_MS = 1_800_000;
/** How often to check for a hang. */
const TICK_MS = 500;

const HANGS = "hangs";

/** Copies the files of the repository, including changed and new ones but not ignored ones. */
function copyTree() {
  const tree = mkdtempSync(join(tmpdir(), "raincheck-mutants-"));
  const names = capture("git", ["ls-files", "--cached", "--others", "--exclude-standard"]);
  if (names === undefined) throw new Problem("`git ls-files` failed.", "Run this in a clone of the repository.");
  for (const name of names.split("\n")) {
    if (existsSync(inRoot(name))) cpSync(inRoot(name), join(tree, name));
  }
  return tree;
}

/** Runs a program to its end. Returns its status, or `HANGS`, and its output. */
function watch(command, args, { cwd, limit, env }) {
  return new Promise((resolve, reject) => {
    // In its own process group, so that its children are killed with it.
    const child = spawn(command, args, { cwd, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
    let hangs = false;
    const output = { stdout: "", stderr: "" };
    const end = () => {
      try {
        process.kill(-child.pid, "SIGKILL");
      } catch (error) {
        if (error.code !== "ESRCH") throw error;
      }
    };
    process.once("exit", end);
    // Time is counted in ticks, so that a suspended machine or process does not look like a hang.
    let ticks = 0;
    const timer = setInterval(() => {
      ticks += 1;
      hangs ||= ticks * TICK_MS > limit;
      if (hangs) end();
    }, TICK_MS);
    child.stdout.on("data", (chunk) => (output.stdout += chunk));
    child.stderr.on("data", (chunk) => (output.stderr += chunk));
    child.on("error", (error) => reject(new Problem(`Cannot run \`${command}\`: ${error.message}.`)));
    child.on("close", (code, signal) => {
      clearInterval(timer);
      process.off("exit", end);
      resolve({ status: hangs ? HANGS : (code ?? signal), ...output });
    });
  });
}

/** Builds targets in the tree. Returns the path of each program, or the compiler's output as `failed`. */
async function build(tree, targets) {
  const chosen = targets.flatMap((name) => (name === "simulate" ? ["--example", name] : ["--test", name]));
  const env = { ...process.env, CARGO_TARGET_DIR: inRoot("target", "mutants") };
  const args = ["build", "--message-format=json-render-diagnostics", ...chosen];
  const { status, stdout, stderr } = await watch("cargo", args, { cwd: tree, limit: BUILD_MS, env });
  if (status !== 0) return { failed: stderr };
  const programs = {};
  for (const line of stdout.split("\n").filter((line) => line.startsWith("{"))) {
    const message = JSON.parse(line);
    if (message.executable) programs[message.target.name] = message.executable;
  }
  return { programs };
}

const targetsOf = (mutants) => [...new Set(mutants.flatMap(({ catchers }) => catchers.map(({ target }) => target)))];

/** Runs every catcher without a mutant. Returns how long each may take with a mutant. */
async function patienceOf(mutants, tree) {
  const { programs, failed } = await build(tree, targetsOf(mutants));
  if (failed) throw new Problem(`The tree does not compile without a mutant.\n${failed}`);
  const patience = new Map();
  for (const { command, target, args } of mutants.flatMap(({ catchers }) => catchers)) {
    if (patience.has(command)) continue;
    const start = performance.now();
    const { status, stdout } = await watch(programs[target], args, { cwd: tree, limit: BUILD_MS });
    if (status !== 0) throw new Problem(`\`${command}\` fails without a mutant (${status}).\n${stdout}`);
    if (target !== "simulate" && !/^test result: ok\. [1-9]/m.test(stdout)) {
      throw new Problem(`\`${command}\` runs no test.`, "The name of a catcher is wrong.");
    }
    patience.set(command, Math.max(LEAST_PATIENCE_MS, PATIENCE * (performance.now() - start)));
  }
  return patience;
}

/** Applies a mutant. Returns a verdict in words, and whether every catcher caught it. */
async function judge(mutant, tree, patience) {
  const restore = apply(mutant, tree);
  try {
    const { programs, failed } = await build(tree, targetsOf([mutant]));
    if (failed) return { caught: false, verdict: "does not compile", detail: failed };
    for (const { command, target, args } of mutant.catchers) {
      const { status, stdout } = await watch(programs[target], args, { cwd: tree, limit: patience.get(command) });
      if (status === 0) return { caught: false, verdict: `survives \`${command}\``, detail: stdout };
      if (status === HANGS) step(`  ${command} hangs, which counts`);
    }
    return { caught: true, verdict: "caught" };
  } finally {
    restore();
  }
}

function chosen(only) {
  const all = readMutants();
  for (const name of only) {
    if (!all.some((mutant) => mutant.name === name)) {
      throw new Problem(`There is no mutant ${JSON.stringify(name)}.`, "--list prints all names.");
    }
  }
  return only.length > 0 ? all.filter(({ name }) => only.includes(name)) : all;
}

function table(results) {
  const width = Math.max(...results.map(({ mutant }) => mutant.name.length));
  return results.map(({ mutant, verdict }) => `${mutant.name.padEnd(width)}  ${verdict}`).join("\n");
}

async function run(mutants, tree) {
  step(`Building without a mutant and running ${mutants.length === 1 ? "its" : "their"} catchers`);
  const patience = await patienceOf(mutants, tree);
  const results = [];
  for (const [index, mutant] of mutants.entries()) {
    const start = performance.now();
    const result = await judge(mutant, tree, patience);
    results.push({ mutant, ...result });
    step(`${index + 1} of ${mutants.length}, ${mutant.name}: ${result.verdict} (${elapsed(start)})`);
    if (!result.caught) console.log(result.detail);
  }
  return results;
}

await main(async () => {
  const { values } = readArguments(HELP, {
    only: { type: "string", multiple: true, default: [] },
    list: { type: "boolean" },
  });
  const mutants = chosen(values.only);
  if (values.list) {
    for (const { name, catchers } of mutants) {
      console.log([name, ...catchers.map(({ command }) => `  ${command}`)].join("\n"));
    }
    return;
  }
  await checkPrerequisites();
  const start = performance.now();
  const tree = copyTree();
  process.on("exit", () => rmSync(tree, { recursive: true, force: true }));
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(130));
  // Check that all apply before spending an hour on some.
  for (const mutant of mutants) apply(mutant, tree)();
  const results = await run(mutants, tree);
  const missed = results.filter(({ caught }) => !caught);
  console.log(`\n${table(results)}\n`);
  if (missed.length > 0) {
    throw new Problem(
      `${missed.length} of ${results.length} mutants were not caught.`,
      "Add the missing test, or rewrite the mutant.",
    );
  }
  step(`All ${results.length} mutants were caught in ${elapsed(start)}`);
});
