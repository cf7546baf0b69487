// The files that `init` writes. wrangler.toml is the repository's own with another Worker, origin and rules, so that
// its bindings and queues are the tested ones.

import { readFileSync } from "node:fs";

import { inRoot } from "./paths.mjs";

/** Where npm puts the Worker when the package is installed in the folder. */
const WORKER = "node_modules/raincheck/build/index.js";

/** The example rule for the user's own API. */
const EXAMPLE_RULE = `
# Which requests become jobs. All others pass straight through.
[[vars.RAINCHECK.rules]]
name = "reports"
methods = ["POST"]
path = "/reports"
defer = "always"
`;

/** Replaces the only match of the pattern. */
function replaced(text, pattern, replacement) {
  const pieces = text.split(pattern);
  if (pieces.length !== 2) throw new Error(`wrangler.toml has ${pieces.length - 1} places like ${pattern}, not one`);
  return pieces.join(replacement);
}

/** wrangler.toml for `origin`, or for the demo origin with its rules if there is none. */
export function wranglerToml(origin) {
  let text = readFileSync(inRoot("wrangler.toml"), "utf8");
  text = replaced(text, /^main = .*$/m, `main = "${WORKER}"`);
  text = replaced(text, /^\[build\]\n(?:.+\n)+\n/m, "");
  text = text.replaceAll("npm run check", "npx raincheck check");
  if (origin === undefined) return text;
  text = replaced(text, /^origin = .*\n/m, `origin = ${JSON.stringify(origin)}\n`);
  // All rules: from the first to the next comment.
  return replaced(text, /\n\[\[vars\.RAINCHECK\.rules\]\]\n[^#]*(?=\n#)/, EXAMPLE_RULE);
}

export const GITIGNORE = `/node_modules/
/.wrangler/
/.dev.vars*
/dist/
`;

/** `.dev.vars`: the secrets of local runs. */
export function devVars() {
  return `# Read by local runs only, and kept out of git: the secrets that the configuration names, one NAME = "value" per line.
`;
}
