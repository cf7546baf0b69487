// What the scripts must know of wrangler.toml. The file itself is read by src/bin/raincheck, with
// the parsers of TOML and of the configuration that the Worker has.

import { buildProgram } from "./cargo.mjs";
import { inRoot } from "./paths.mjs";
import { output, run } from "./run.mjs";

const CONFIG_FILE = inRoot("wrangler.toml");
const REMEDY = "docs/configuration.md lists every field.";

/** The program that reads wrangler.toml, built when it is not current. */
const raincheck = () => buildProgram("the program that reads wrangler.toml", ["--bin", "raincheck"]);

/**
 * Runs the same check that the Worker runs when it starts; a `Problem` when it finds something.
 *
 * `environment` is the one to look at, "" the top level; without it all are. `deploy` refuses
 * an origin that a deployed Worker cannot reach.
 */
export async function checkConfiguration({ file = CONFIG_FILE, environment, deploy = false } = {}) {
  const options = [...(environment === undefined ? [] : ["--env", environment]), ...(deploy ? ["--deploy"] : [])];
  await run(await raincheck(), ["check", ...options, file], { remedy: REMEDY });
}

/** The names of every queue and bucket that wrangler.toml mentions. */
export async function resources(file = CONFIG_FILE) {
  return JSON.parse(await output(await raincheck(), ["resources", file], { remedy: REMEDY }));
}

/**
 * What a run on this machine in front of `origin` needs: `mount`, below which the Worker answers
 * itself, and `variable`, the configuration with this origin, `null` when the file's own has it.
 */
export async function localConfiguration(origin, file = CONFIG_FILE) {
  return JSON.parse(await output(await raincheck(), ["local", "--origin", origin, file], { remedy: REMEDY }));
}
