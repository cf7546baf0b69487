// Chooses the Node for each program. The scripts run on Node 20. wrangler needs 22.12; if the
// machine's Node is older, a platform package from npm provides one.

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
 * The directory of an npm dependency, `undefined` if it is not installed. npm puts it into our node_modules or, if we are
 * an installed package ourselves, beside us.
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

/** The environment for programs from npm: the right Node first on the PATH, and no telemetry. */
export function toolEnvironment() {
  return {
    ...process.env,
    PATH: [dirname(modernNode()), join(installed("wrangler"), "..", ".bin"), process.env.PATH].join(delimiter),
    WRANGLER_SEND_METRICS: "false",
    WRANGLER_SEND_ERROR_REPORTS: "false",
    // Otherwise a local run would fetch an example of `request.cf` from the internet.
    CLOUDFLARE_CF_FETCH_ENABLED: "false",
  };
}

/** npm as [command, first arguments]: the npm that started us, otherwise the one on the PATH. */
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

/** Whether node_modules matches package-lock.json, according to npm's own record of what it installed. */
function dependenciesAreCurrent() {
  const installed = packages("node_modules", ".package-lock.json");
  if (!installed) return false;
  return Object.entries(packages("package-lock.json")).every(([path, { version, optional }]) => {
    if (path === "") return true;
    // Packages for other platforms are in the lock file, but not installed.
    return path in installed ? installed[path].version === version : optional;
  });
}

/** Installs the npm packages if they are missing. For the installed package, npm has done so already. */
export async function ensureDependencies() {
  if (!isClone || dependenciesAreCurrent()) return;
  step("Installing npm packages into node_modules (once, about 500 MB on disk)");
  const [command, first] = npm();
  // The log level hides a warning that wrangler needs a newer Node, because it gets one.
  // None of the packages needs an install script.
  await run(command, [...first, "ci", "--ignore-scripts", "--loglevel=error"], {
    quiet: true,
    remedy: "npm needs access to its registry; see its output above.",
  });
}
