// Which Node runs what. The scripts run on 20; wrangler needs 22.12, which a platform
// package from npm brings along where the machine's own Node is older.

import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, dirname, join } from "node:path";

import { inRoot, isClone } from "./paths.mjs";
import { capture, run } from "./run.mjs";
import { Problem, step } from "./ui.mjs";
import { atLeast } from "./versions.mjs";

const OLDEST_FOR_WRANGLER = "22.12.0";

const require = createRequire(import.meta.url);

/**
 * The directory of an npm package that we depend on, `undefined` when it is not installed. npm puts it into our own
 * node_modules or, when we are a package ourselves, beside us.
 */
export function installed(name) {
  return require.resolve.paths(name).map((directory) => join(directory, name)).find(existsSync);
}

/** A Node that is new enough for wrangler. */
export function modernNode() {
  if (atLeast(process.version, OLDEST_FOR_WRANGLER)) return process.execPath;
  const platform = `${process.platform}-${process.arch}`;
  const bundled = installed(`node-${platform}`) ?? installed(`node-bin-${platform}`);
  if (bundled) return join(bundled, "bin", "node");
  throw new Problem(
    `wrangler needs Node ${OLDEST_FOR_WRANGLER}; this is ${process.version}, and npm has no newer one for this platform.`,
    "Install a current Node from https://nodejs.org and run this again.",
  );
}

/** The environment for programs from npm: the right Node first, and no talk to anybody. */
export function toolEnvironment() {
  return {
    ...process.env,
    PATH: [dirname(modernNode()), join(installed("wrangler"), "..", ".bin"), process.env.PATH].join(delimiter),
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

/** Installs the npm packages unless they are there already; with the package, npm has done that. */
export async function ensureDependencies() {
  if (!isClone || dependenciesAreCurrent()) return;
  step("Installing npm packages into node_modules (once, about 500 MB on disk)");
  const [command, first] = npm();
  // The error level hides a warning that wrangler wants a newer Node: it gets one.
  // Nothing that is used here needs an install script.
  await run(command, [...first, "ci", "--ignore-scripts", "--loglevel=error"], {
    quiet: true,
    remedy: "npm needs its registry for this; see what it says above.",
  });
}
