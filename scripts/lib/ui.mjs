// The scripts' output: steps, problems with a remedy, help.

import { parseArgs } from "node:util";

import { isClone } from "./paths.mjs";

/** A failure that the user can fix. Shown without a stack trace. */
export class Problem extends Error {
  constructor(message, remedy) {
    super(message);
    this.remedy = remedy;
  }
}

/** Scripts that npm runs without `run`. */
const OF_NPM = ["start", "test"];

/** A command line as the user types it: a script of the repository, or a command of the package. */
export function typed(name, ...args) {
  if (!isClone) return ["npx raincheck", name, ...args].join(" ");
  const script = OF_NPM.includes(name) ? `npm ${name}` : `npm run ${name}`;
  return args.length > 0 ? [script, "--", ...args].join(" ") : script;
}

/** Whether to show the output of programs even if they succeed. */
export let verbose = false;

/** Prints what is happening now. */
export function step(text) {
  console.log(`\u2022 ${text}`);
}

/** Seconds since `start` (from `performance.now()`), for people. */
export function elapsed(start) {
  const seconds = (performance.now() - start) / 1000;
  return seconds < 90
    ? `${seconds.toFixed(1)} s`
    : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

/**
 * Reads the command line. `--help` prints `help` and ends the process. Throws a `Problem` for
 * an option that `options` does not name.
 */
export function readArguments(help, options = {}, { allowPositionals = false } = {}) {
  let parsed;
  try {
    parsed = parseArgs({
      options: { ...options, help: { type: "boolean", short: "h" } },
      allowPositionals,
    });
  } catch (error) {
    throw new Problem(error.message, "Run it with --help for its options.");
  }
  if (parsed.values.help) {
    console.log(help.trim());
    process.exit(0);
  }
  verbose = parsed.values.verbose === true;
  return parsed;
}

/** Reads a TCP port. Rejects 0, because the chosen port could not be shown. */
export function readPort(text, option) {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > 65535) {
    throw new Problem(`${option} is ${JSON.stringify(text)}, not a port.`, "Give a number from 1 to 65535.");
  }
  return port;
}

/** Reads how many or how much of something is wanted: a whole number above 0. */
export function readCount(text, option) {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1) {
    throw new Problem(`${option} is ${JSON.stringify(text)}, not a count.`, "Give a whole number above 0.");
  }
  return count;
}

/** Runs a script's main function. Prints a `Problem` and exits with status 1 if it throws one. */
export async function main(body) {
  try {
    await body();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    console.error(`\n\u2717 ${error.message}`);
    if (error.remedy) console.error(`  ${error.remedy}`);
    process.exit(1);
  }
}
