// What the scripts must know of wrangler.toml. The file itself is read by src/bin/raincheck, with
// the parsers of TOML and of the configuration that the Worker has.

import { existsSync } from "node:fs";
import { join } from "node:path";

import { inRoot } from "./paths.mjs";
import { output, run } from "./run.mjs";
import { step } from "./ui.mjs";

const CONFIG_FILE = inRoot("wrangler.toml");
const REMEDY = "docs/configuration.md lists every field.";

/** The program as [command, first arguments]; cargo builds it when it is not current. */
function raincheck(...args) {
  const built = join(process.env.CARGO_TARGET_DIR ?? inRoot("target"), "debug", "raincheck");
  if (!existsSync(built)) step("Building the check of the configuration (once, about a minute)");
  return ["cargo", ["run", "--quiet", "--bin", "raincheck", "--", ...args]];
}

/**
 * Runs the same check that the Worker runs when it starts; a `Problem` when it finds something.
 *
 * `environment` is the one to look at, "" the top level; without it all are. `deploy` refuses
 * an origin that a deployed Worker cannot reach.
 */
export async function checkConfiguration({ file = CONFIG_FILE, environment, deploy = false } = {}) {
  const [command, args] = raincheck(
    "check",
    ...(environment === undefined ? [] : ["--env", environment]),
    ...(deploy ? ["--deploy"] : []),
    file,
  );
  await run(command, args, { remedy: REMEDY });
}

/** The names of every queue and bucket that wrangler.toml mentions. */
export async function resources(file = CONFIG_FILE) {
  const [command, args] = raincheck("resources", file);
  return JSON.parse(await output(command, args));
}

/**
 * What a run on this machine in front of `origin` needs: `mount`, below which the Worker answers
 * itself, and `variable`, the configuration with this origin, `null` when the file's own has it.
 */
export async function localConfiguration(origin, file = CONFIG_FILE) {
  const [command, args] = raincheck("local", "--origin", origin, file);
  return JSON.parse(await output(command, args, { remedy: REMEDY }));
}
