// The little of wrangler.toml that the scripts must know, and its check.

import { readFileSync } from "node:fs";

import { inRoot } from "./paths.mjs";
import { run } from "./run.mjs";
import { Problem } from "./ui.mjs";

const CONFIG_FILE = inRoot("wrangler.toml");
const CONFIG_VARIABLE = /^RAINCHECK = '''\n([\s\S]*?)^'''$/m;
const ORIGIN = /^origin = "([^"]*)"$/m;

function source() {
  return readFileSync(CONFIG_FILE, "utf8");
}

/** Raincheck's own configuration: the text of the variable RAINCHECK. */
export function configuration() {
  const match = source().match(CONFIG_VARIABLE);
  if (!match) {
    throw new Problem(
      "wrangler.toml has no RAINCHECK = ''' ... ''' under [vars].",
      "See docs/configuration.md for what it holds.",
    );
  }
  return match[1];
}

/** The origin's URL as configured; `undefined` when it is something else than a plain URL. */
export function configuredOrigin() {
  return configuration().match(ORIGIN)?.[1];
}

/** The configuration with another origin in it. */
export function configurationFor(origin) {
  const text = configuration();
  if (!ORIGIN.test(text)) {
    throw new Problem(
      'The RAINCHECK variable in wrangler.toml has no line `origin = "..."` to put another origin into.',
      "Change the origin there instead.",
    );
  }
  return text.replace(ORIGIN, () => `origin = ${JSON.stringify(origin)}`);
}

/** Every queue and bucket that wrangler.toml names. */
export function resources() {
  const text = source().replace(CONFIG_VARIABLE, "");
  const names = (pattern) => [...new Set([...text.matchAll(pattern)].map((match) => match[1]))];
  return {
    queues: names(/^\s*(?:queue|dead_letter_queue) = "([^"]+)"/gm),
    buckets: names(/^\s*bucket_name = "([^"]+)"/gm),
  };
}

/** Runs the same check that the Worker runs when it starts; a `Problem` when it finds something. */
export async function checkConfiguration(file = CONFIG_FILE) {
  await run("cargo", ["run", "--quiet", "--bin", "raincheck", "--", "check", file], {
    remedy: "docs/configuration.md lists every field.",
  });
}
