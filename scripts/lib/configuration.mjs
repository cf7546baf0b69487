// What the scripts must know of wrangler.toml (or wrangler.json, wrangler.jsonc), and the only module that they ask
// about it.
//
// - `checkConfiguration` before a build is used: prints what is wrong, as FILE:LINE:COLUMN: field: …, and is a
//   `Problem` then. It runs the policy code of the built bundle, so build first (setUp).
// - `localConfiguration` for a run on this machine: where the Worker itself answers, where its origin is, and the
//   content of a configuration file for `wrangler dev --config`, because `--var` passes only texts. It is a `Problem`
//   with the same lines when the configuration is wrong.
// - `resources` for what wrangler does not create by itself. It needs no bundle.
//
// Each takes `file`, the project's own wrangler.toml by default. All need the npm packages.

import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

import { project } from "./paths.mjs";
import { ask } from "./policy.mjs";
import { readSource, shownPath } from "./source.mjs";
import { Problem } from "./ui.mjs";

const CONFIG_FILE = join(project, "wrangler.toml");
const REMEDY = "docs/configuration.md lists every field.";

/** Lines about fields, each with the place of its field in the file. */
function placed({ file, place }, notes) {
  return notes.map(({ path, text }) => [shownPath(file), place(path), ` ${text}`].filter(Boolean).join(":"));
}

/** Asks about a file; a `Problem` with a line for each mistake. */
async function asked(file, question) {
  const source = await readSource(file);
  const answer = await ask({ ...question, file: source.value });
  if (answer.mistakes.length > 0) throw new Problem(placed(source, answer.mistakes).join("\n"), REMEDY);
  return { source, answer };
}

/**
 * Checks a file as the Worker does when it starts, and the bindings that it needs. Prints a line for each rule, and
 * warnings; a `Problem` with a line for each mistake.
 *
 * `environment` is the one to look at, "" the top level; without it all are. `deploy` refuses an origin that a
 * deployed Worker cannot reach.
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

/** The tables of an array at a path; none where there is no such array. */
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
 * What a run on this machine needs, of one environment ("" is the top level):
 *
 * - `mount`: the path below which the Worker answers itself;
 * - `origin`: the URL of the default origin, `null` where that is a service binding; `origins`: an object with those
 *   of the others, by name;
 * - `wrangler`: the content of a configuration file for this run, to be written as JSON anywhere; its paths are
 *   absolute. wrangler reads `.dev.vars` beside the file that it is given, so copy that along.
 *
 * `origin` takes the place of the default origin of the file.
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
