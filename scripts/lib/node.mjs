// Which Node runs what. The scripts run on 20; wrangler needs 22.12, which a platform
// package from npm brings along where the machine's own Node is older.

import { existsSync, readFileSync, realpathSync } from "node:fs";
import { delimiter, dirname } from "node:path";

import { inRoot } from "./paths.mjs";
import { capture, run } from "./run.mjs";
import { Problem, step } from "./ui.mjs";
import { atLeast } from "./versions.mjs";

const OLDEST_FOR_WRANGLER = "22.12.0";

/** A Node that is new enough for wrangler. */
export function modernNode() {
  if (atLeast(process.version, OLDEST_FOR_WRANGLER)) return process.execPath;
  const bundled = inRoot("node_modules", ".bin", "node");
  if (existsSync(bundled)) return realpathSync(bundled);
  throw new Problem(
    `wrangler needs Node ${OLDEST_FOR_WRANGLER}; this is ${process.version}, and npm has no newer one for this platform.`,
    "Install a current Node from https://nodejs.org and run this again.",
  );
}

/** The environment for programs from npm: the right Node first, and no talk to anybody. */
export function toolEnvironment() {
  return {
    ...process.env,
    PATH: [dirname(modernNode()), inRoot("node_modules", ".bin"), process.env.PATH].join(delimiter),
    WRANGLER_SEND_METRICS: "false",
    WRANGLER_SEND_ERROR_REPORTS: "false",
    // A local run would ask the internet for an example of `request.cf`.
    CLOUDFLARE_CF_FETCH_ENABLED: "false",
  };
}

/** npm as [command, first arguments]: the one that started us, else the one on the PATH. */
function npm() {
  const { npm_execpath: script, npm_node_execpath: node } = process.env;
  // `npm_execpath` may name another package manager.
  if (script && node && /npm-cli\.c?js$/.test(script) && existsSync(script)) return [node, [script]];
  if (capture("npm", ["--version"]) === undefined) {
    throw new Problem("npm is not installed.", "Install Node with npm from https://nodejs.org and run this again.");
  }
  return ["npm", []];
}

function packages(...path) {
  const file = inRoot(...path);
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")).packages : undefined;
}

/** Whether node_modules holds what package-lock.json asks for, by npm's own note of what it installed. */
function dependenciesAreCurrent() {
  const installed = packages("node_modules", ".package-lock.json");
  if (!installed) return false;
  return Object.entries(packages("package-lock.json")).every(([path, { version, optional }]) => {
    if (path === "") return true;
    // Packages for other platforms are in the lock file, but not installed.
    return path in installed ? installed[path].version === version : optional;
  });
}

/** Installs the npm packages unless they are there already. */
export async function ensureDependencies() {
  if (dependenciesAreCurrent()) return;
  step("Installing npm packages into node_modules (once, about 500 MB on disk)");
  const [command, first] = npm();
  // The error level hides a warning that wrangler wants a newer Node: it gets one.
  // Nothing that is used here needs an install script.
  await run(command, [...first, "ci", "--ignore-scripts", "--loglevel=error"], {
    remedy: "npm needs its registry for this; see what it says above.",
  });
}
