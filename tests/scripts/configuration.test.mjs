import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

import { checkConfiguration, localConfiguration, resources } from "../../scripts/lib/configuration.mjs";
import { readSource } from "../../scripts/lib/source.mjs";
import { Problem } from "../../scripts/lib/ui.mjs";

const directory = mkdtempSync(join(tmpdir(), "raincheck-"));
after(() => rmSync(directory, { recursive: true }));

function file(content, name = "wrangler.toml") {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

const configured = (lines) => file(`main = "build/index.js"\n[vars.RAINCHECK]\n${lines}\n`);

/** The lines of a `Problem`, without the directory. */
async function problem(promise) {
  const error = await promise.then(
    () => assert.fail("it is in order"),
    (error) => error,
  );
  assert.ok(error instanceof Problem, error.stack);
  return error.message.replaceAll(`${directory}/`, "").split("\n");
}

test("the origin in wrangler.toml is the one that the demo origin listens on", async () => {
  const { mount, origin } = await localConfiguration();
  assert.deepEqual({ mount, origin }, { mount: "/jobs", origin: "http://127.0.0.1:8788" });
});

test("another origin is put into a configuration of any form", async () => {
  const origin = "https://api.example.com/$&/'x'";
  for (const form of ["'https://h' # the API", "{ url = 'https://h' }"]) {
    const local = await localConfiguration({ origin, file: configured(`mount = '/later'\norigin = ${form}`) });
    assert.equal(local.mount, "/later");
    assert.equal(local.origin, origin);
    assert.deepEqual(local.wrangler.vars.RAINCHECK, { mount: "/later", origin });
    assert.equal(local.wrangler.main, join(directory, "build/index.js"), "the file may be written elsewhere");
  }
});

test("an environment keeps its place in the file for a local run", async () => {
  const path = file(`[vars]\nOTHER = "kept"\n[env.staging.vars.RAINCHECK]\norigin = "https://staging"\npublic_origin = "https://h"\n`);
  const { origin, wrangler } = await localConfiguration({ file: path, environment: "staging" });
  assert.equal(origin, "https://staging");
  assert.deepEqual(wrangler.env.staging.vars, { RAINCHECK: { origin: "https://staging" } });
  assert.deepEqual(wrangler.vars, { OTHER: "kept" });
});

test("a mistake is shown with line and column", async () => {
  const wrong = configured("origin = 'https://h'\nshards = 0\n[[vars.RAINCHECK.rules]]\n  name = 'r'\n  pth = '/r'");
  const expected = [
    "wrangler.toml:4:1: vars.RAINCHECK.shards: found 0; allowed: a whole number from 1 to 1024",
    'wrangler.toml:5:1: vars.RAINCHECK.rules[r].path: found nothing; allowed: a path such as "/reports/{id}"',
    'wrangler.toml:7:3: vars.RAINCHECK.rules[r].pth: found an unknown field; did you mean "path"?',
  ];
  assert.deepEqual(await problem(localConfiguration({ file: wrong })), expected);
  const all = await problem(checkConfiguration({ file: wrong }));
  assert.deepEqual(all.slice(0, 3), expected);
});

test("a mistake in JSON with comments is shown with line and column", async () => {
  const wrong = file('{\n  // ours\n  "vars": { "RAINCHECK": {\n    "origin": "https://h",\n    "shards": 0\n  } }\n}', "wrangler.jsonc");
  assert.deepEqual(await problem(localConfiguration({ file: wrong })), [
    "wrangler.jsonc:5:5: vars.RAINCHECK.shards: found 0; allowed: a whole number from 1 to 1024",
  ]);
});

test("a syntax error is shown with line and column", async () => {
  const [toml] = await problem(readSource(file("x = 1\nname = =")));
  assert.match(toml, /^wrangler\.toml:2:8: /);
  const [json] = await problem(readSource(file('{\n  "name": }', "wrangler.json")));
  assert.match(json, /^wrangler\.json:2:11: /);
  const [absent] = await problem(readSource(join(directory, "absent.toml")));
  assert.match(absent, /^absent\.toml: cannot be read: /);
});

test("a syntax error says what to look for", async () => {
  for (const [text, place, hint] of [
    ['name = "x\nb = 1', "1:10", /a closing quote is missing on this line/],
    ["x = 1\ndefer = always", "2:9", /text needs quotes/],
    ["lease = 5m", "1:10", /durations and other text need quotes/],
    ["[[rules]\nname = 'r'", "2:1", /may lack a ]/],
    ["a = [1 2]", "1:8", /a comma/],
    ["[a]\n[a]", "2:2", /further up/],
    ['a = "C:\\q"', "1:9", /write \\\\ for a backslash/],
  ]) {
    const [line] = await problem(readSource(file(text)));
    assert.ok(line.startsWith(`wrangler.toml:${place}: `), line);
    assert.match(line, hint);
  }
});

test("the demo's origin is accepted in a local run but not in a deployment", async () => {
  await checkConfiguration({ environment: "" });
  const [line] = await problem(checkConfiguration({ environment: "", deploy: true }));
  assert.match(line, /^wrangler\.toml:\d+:1: vars\.RAINCHECK\.origin: found "http:\/\/127\.0\.0\.1:8788"; /);
});

test("provisioning covers every queue and bucket once", async () => {
  assert.deepEqual(await resources(), {
    queues: ["raincheck-high", "raincheck-normal", "raincheck-low", "raincheck-dead"],
    buckets: ["raincheck-bodies"],
  });
});
