// Running other programs to their end.

import { spawn, spawnSync } from "node:child_process";

import { project, root } from "./paths.mjs";
import { Problem, verbose } from "./ui.mjs";

/** Every child that has not ended yet. */
const children = new Set();
/** Whether one of several programs has failed, and the others are being ended. */
let stopping = false;

/** A command as one would type it in the repository. */
export function shown(command, args) {
  return [command, ...args]
    .map((word) => word.replace(`${root}/`, ""))
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word}'`))
    .join(" ");
}

/**
 * Runs a command with its output on ours; a `Problem` when it fails. With `quiet` the output is shown only then, or
 * with --verbose.
 */
export async function run(command, args, { env = process.env, cwd = project, remedy, quiet = false } = {}) {
  let kept = "";
  const take = quiet && !verbose ? (chunk) => (kept += chunk) : undefined;
  const code = await status(command, args, { env, cwd, take, errors: take });
  if (code !== 0 && !stopping) process.stderr.write(kept);
  if (code !== 0) throw new Problem(`\`${shown(command, args)}\` failed (${code}).`, remedy);
}

/**
 * Runs a command with `input` on its standard input and its errors on ours, and returns what it printed; a
 * `Problem` when it fails.
 */
export async function output(command, args, { env = process.env, cwd = project, input, remedy } = {}) {
  let text = "";
  const take = (chunk) => (text += chunk);
  const code = await status(command, args, { env, cwd, input, take });
  if (code !== 0) throw new Problem(`\`${shown(command, args)}\` failed (${code}).`, remedy);
  return text;
}

/**
 * Runs a command and returns its exit status, or the signal that ended it. Its output goes to
 * ours, or piece by piece to `take` and `errors`.
 */
export function status(command, args, { env = process.env, cwd = project, input, take, errors } = {}) {
  const how = (taker) => (taker ? "pipe" : "inherit");
  const stdin = input === undefined ? "ignore" : "pipe";
  const child = spawn(command, args, { cwd, env, stdio: [stdin, how(take), how(errors)] });
  child.stdin?.end(input);
  child.stdout?.setEncoding("utf8").on("data", take);
  child.stderr?.setEncoding("utf8").on("data", errors);
  return ended(command, child);
}

/** Does several things at a time. When one fails, the programs that the others run are ended. */
export async function together(...tasks) {
  const stopOthers = () => {
    stopping = true;
    children.forEach((child) => child.kill());
  };
  const results = tasks.map((task) => task());
  for (const result of results) result.catch(stopOthers);
  const first = Promise.all(results);
  first.catch(() => {});
  await Promise.allSettled(results);
  return first;
}

/** Waits for the end of a child: its exit status, or the signal that ended it. */
export function ended(command, child) {
  return new Promise((resolve, reject) => {
    // Ctrl-C reaches the whole process group by itself; a signal to us alone must be handed on.
    const forward = (signal) => child.kill(signal);
    children.add(child);
    process.on("SIGTERM", forward).on("SIGHUP", forward);
    child.on("close", () => {
      children.delete(child);
      process.off("SIGTERM", forward).off("SIGHUP", forward);
    });
    child.on("error", (error) => reject(new Problem(`Cannot run \`${command}\`: ${error.message}.`)));
    child.on("close", (code, signal) => resolve(code ?? signal));
  });
}

/**
 * Runs a command: what it printed when it succeeded, `undefined` when it failed or is not there. Its errors are
 * dropped, or go to ours where `errors` is "inherit".
 */
export function capture(command, args, { env = process.env, cwd = project, errors = "ignore" } = {}) {
  const done = spawnSync(command, args, { cwd, env, encoding: "utf8", stdio: ["ignore", "pipe", errors] });
  return done.status === 0 ? done.stdout.trim() : undefined;
}
