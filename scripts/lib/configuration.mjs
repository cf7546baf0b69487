// Reads wrangler.toml (or wrangler.json, wrangler.jsonc) for the scripts. No other module does.
//
// - `checkConfiguration` throws a `Problem` that lists the mistakes as FILE:LINE:COLUMN: field: …. It runs the policy
//   code that is built with the Worker, so build first (setUp).
// - `localConfiguration` returns what a run on this machine needs: the mount, the origins, and the content of a
//   configuration file for `wrangler dev --config`, because `--var` passes only strings. It throws the same `Problem`.
// - `resources` returns what wrangler does not create by itself. It needs no bundle.
//
// Each takes `file`, by default the project's own wrangler.toml. All need the npm packages.

import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

import { project } from "./paths.mjs";
import { ask } from "./policy.mjs";
import { readSource, shownPath } from "./source.mjs";
import { Problem } from "./ui.mjs";

const CONFIG_FILE = join(project, "wrangler.toml");
const REMEDY = "docs/configuration.md lists every field.";

/** One line for each note, with the place of its field in the file. */
function placed({ file, place }, notes) {
  return notes.map(({ path, text }) => [shownPath(file), place(path), ` ${text}`].filter(Boolean).join(":"));
}

/** Asks the policy code about a file. Throws a `Problem` with a line for each mistake. */
async function asked(file, question) {
  const source = await readSource(file);
  const answer = await ask({ ...question, file: source.value });
  if (answer.mistakes.length > 0) throw new Problem(placed(source, answer.mistakes).join("\n"), REMEDY);
  return { source, answer };
}

/**
 * Checks a file as the Worker does at its start, and the bindings that it needs. Prints a line for each rule and each
 * warning. Throws a `Problem` with a line for each mistake.
 *
 * `environment` is the one to check, "" for the top level; all by default. `deploy` rejects an origin that a deployed
 * Worker cannot reach.
 */
export async function checkConfiguration({ file = CONFIG_FILE, environment, deploy = false } = {}) {
  const declared = localSecrets(file, environment);
  const { source, answer } = await asked(file, { ask: "check", environment, deploy, declared });
  for (const line of answer.lines) console.log(`${shownPath(file)}: ${line}`);
  for (const line of placed(source, answer.warnings)) console.warn(line.replace(": ", ": warning: "));
}

/** The names in `.dev.vars` beside a file, where wrangler looks for secrets in a local run. */
function localSecrets(file, environment) {
  const [shared, own] = [".dev.vars", `.dev.vars.${environment}`].map((name) => join(dirname(resolve(file)), name));
  const found = [own, shared].find(existsSync);
  const text = found === undefined ? "" : readFileSync(found, "utf8");
  return [...text.matchAll(/^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=/gm)].map(([, name]) => name);
}

/** The tables of the array at a path; empty if there is no such array. */
function tables(table, ...path) {
  const found = path.reduce((inner, key) => inner?.[key], table);
  return Array.isArray(found) ? found : [];
}

/** The names of every queue and bucket that the file mentions in any environment, each once. */
export async function resources(file = CONFIG_FILE) {
  const { value } = await readSource(file);
  const all = [value, ...Object.values(value.env ?? {})];
  const queues = all.flatMap((table) => [
    ...tables(table, "queues", "producers").map(({ queue }) => queue),
    ...tables(table, "queues", "consumers").flatMap((consumer) => [consumer.queue, consumer.dead_letter_queue]),
  ]);
  const buckets = all.flatMap((table) => tables(table, "r2_buckets").map((bucket) => bucket.bucket_name));
  const distinct = (names) => [...new Set(names.filter(Boolean))];
  return { queues: distinct(queues), buckets: distinct(buckets) };
}

/**
 * What a run on this machine needs of one environment ("" is the top level):
 *
 * - `mount`: the path below which the Worker itself responds;
 * - `origin`: the URL of the default origin, `null` for a service binding; `origins`: an object with the URLs of the
 *   others, by name;
 * - `wrangler`: the content of a configuration file for this run, to be written as JSON anywhere; its paths are
 *   absolute. wrangler reads `.dev.vars` beside its configuration file, so copy that, too.
 *
 * `origin` replaces the file's default origin.
 */
export async function localConfiguration({ file = CONFIG_FILE, environment = "", origin } = {}) {
  const { source, answer } = await asked(file, { ask: "local", environment, origin });
  const { mount, vars, origins } = answer;
  return { mount, origin: answer.origin, origins, wrangler: relocated(source, environment, vars) };
}

/** The file's content with these variables in an environment, as it must be in another directory. */
function relocated({ file, value }, environment, vars) {
  const home = dirname(resolve(file));
  const absolute = (path) => (path === undefined ? undefined : resolve(home, path));
  const withVars = (table) => ({ ...table, vars: { ...table.vars, ...vars } });
  const { build, assets } = value;
  const moved = {
    ...value,
    main: absolute(value.main),
    ...(build && { build: { ...build, cwd: absolute(build.cwd ?? "."), watch_dir: watched(build.watch_dir, absolute) } }),
    ...(assets && { assets: { ...assets, directory: absolute(assets.directory) } }),
  };
  if (environment === "") return withVars(moved);
  return { ...moved, env: { ...moved.env, [environment]: withVars(moved.env[environment]) } };
}

const watched = (paths, absolute) => (Array.isArray(paths) ? paths.map(absolute) : absolute(paths));
