// Runs other programs to their end.

import { spawn, spawnSync } from "node:child_process";

import { project, root } from "./paths.mjs";
import { Problem, verbose } from "./ui.mjs";

/** Every child that has not ended yet. */
const children = new Set();
/** Whether one of several programs has failed and the others are being stopped. */
let stopping = false;

/** A command as one would type it in the repository. */
export function shown(command, args) {
  return [command, ...args]
    .map((word) => word.replace(`${root}/`, ""))
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word}'`))
    .join(" ");
}

/**
 * Runs a command and shows its output. Throws a `Problem` if it fails. With `quiet`, shows the output only on failure
 * or with --verbose.
 */
export async function run(command, args, { env = process.env, cwd = project, remedy, quiet = false } = {}) {
  let kept = "";
  const take = quiet && !verbose ? (chunk) => (kept += chunk) : undefined;
  const code = await status(command, args, { env, cwd, take, errors: take });
  if (code !== 0 && !stopping) process.stderr.write(kept);
  if (code !== 0) throw new Problem(`\`${shown(command, args)}\` failed (${code}).`, remedy);
}

/**
 * Runs a command with `input` on its standard input and returns its standard output. Shows its standard error. Throws a
 * `Problem` if it fails.
 */
export async function output(command, args, { env = process.env, cwd = project, input, remedy } = {}) {
  let text = "";
  const take = (chunk) => (text += chunk);
  const code = await status(command, args, { env, cwd, input, take });
  if (code !== 0) throw new Problem(`\`${shown(command, args)}\` failed (${code}).`, remedy);
  return text;
}

/**
 * Runs a command and returns its exit status, or the signal that ended it. Shows its output, or passes it in chunks to
 * `take` and `errors`.
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

/** Runs several tasks concurrently. If one fails, the programs of the others are stopped. */
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
    // Ctrl-C reaches the whole process group. A signal to this process alone must be forwarded.
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
 * Runs a command and returns its trimmed output, or `undefined` if it failed or does not exist. Its standard error is
 * discarded, or shown if `errors` is "inherit".
 */
export function capture(command, args, { env = process.env, cwd = project, errors = "ignore" } = {}) {
  const done = spawnSync(command, args, { cwd, env, encoding: "utf8", stdio: ["ignore", "pipe", errors] });
  return done.status === 0 ? done.stdout.trim() : undefined;
}
