// The files that `init` writes. wrangler.toml is the repository's own with another Worker, origin and rules, so that
// bindings and queues cannot differ from what is tested.

import { readFileSync } from "node:fs";

import { inRoot } from "./paths.mjs";

/** Where npm puts the Worker when the package is installed in the folder. */
const WORKER = "node_modules/raincheck/build/index.js";

/** What stands before the API until there is one: the demo origin, with rules to try it. */
const EXAMPLE_RULE = `
# Which requests become jobs. All others go straight through.
[[vars.RAINCHECK.rules]]
name = "reports"
methods = ["POST"]
path = "/reports"
defer = "always"
`;

/** Replaces what the pattern finds, exactly once. */
function replaced(text, pattern, replacement) {
  const pieces = text.split(pattern);
  if (pieces.length !== 2) throw new Error(`wrangler.toml has ${pieces.length - 1} places like ${pattern}, not one`);
  return pieces.join(replacement);
}

/** wrangler.toml in front of `origin`; without one, in front of the demo origin with its rules. */
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

/** The variables of local runs. */
export function devVars() {
  return `# Read by local runs only, and kept out of git: secrets that the configuration names, one NAME = "value" a line.
`;
}
