// Runs wrangler: the version that package.json pins, on a Node that is new enough.

import { join } from "node:path";

import { installed, modernNode, toolEnvironment } from "./node.mjs";
import { run } from "./run.mjs";

/** wrangler's entry point, a script for Node. */
export const wranglerScript = () => join(installed("wrangler"), "bin", "wrangler.js");

/** A wrangler command as [command, arguments, options] for `run` and similar functions. */
export function wrangler(...args) {
  return [modernNode(), [wranglerScript(), ...args], { env: toolEnvironment() }];
}

/** Runs wrangler to its end. */
export function runWrangler(...args) {
  return run(...wrangler(...args));
}
