import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

import { checkConfiguration, localConfiguration, resources } from "../../scripts/lib/configuration.mjs";
import { Problem } from "../../scripts/lib/ui.mjs";

const directory = mkdtempSync(join(tmpdir(), "raincheck-"));
after(() => rmSync(directory, { recursive: true }));

function file(configuration) {
  const path = join(directory, "wrangler.toml");
  writeFileSync(path, `[vars]\nRAINCHECK = '''\n${configuration}\n'''\n`);
  return path;
}

test("the origin in wrangler.toml is the one that the demo origin listens on", async () => {
  assert.deepEqual(await localConfiguration("http://127.0.0.1:8788"), { mount: "/jobs", variable: null });
});

test("another origin is put into a configuration of any form", async () => {
  const origin = "https://api.example.com/$&/'x'";
  for (const form of ["'https://h' # the API", "{ url = 'https://h' }", "{ service = true }"]) {
    const { mount, variable } = await localConfiguration(origin, file(`mount = '/later'\norigin = ${form}`));
    assert.equal(mount, "/later");
    assert.equal((await localConfiguration(origin, file(variable))).variable, null);
  }
});

test("a configuration that is wrong is a problem", async () => {
  const wrong = file("origin = 'https://h'\nshards = 0");
  await assert.rejects(localConfiguration("https://h", wrong), Problem);
  await assert.rejects(checkConfiguration({ file: wrong }), Problem);
});

test("the origin of the demo is fine for a dry run and not for a deployment", async () => {
  await checkConfiguration({ environment: "" });
  await assert.rejects(checkConfiguration({ environment: "", deploy: true }), Problem);
});

test("provisioning covers every queue and bucket once", async () => {
  assert.deepEqual(await resources(), {
    queues: ["raincheck-high", "raincheck-normal", "raincheck-low", "raincheck-dead"],
    buckets: ["raincheck-bodies"],
  });
});
