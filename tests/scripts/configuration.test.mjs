import assert from "node:assert/strict";
import { test } from "node:test";

import { configuration, configurationFor, configuredOrigin, resources } from "../../scripts/lib/configuration.mjs";

test("another origin replaces only the line of the origin", () => {
  const before = configuration().split("\n");
  const after = configurationFor('https://api.example.com/$&/"x"').split("\n");
  const changed = after.filter((line, index) => line !== before[index]);
  assert.deepEqual(changed, ['origin = "https://api.example.com/$&/\\"x\\""']);
  assert.equal(after.length, before.length);
});

test("the origin in wrangler.toml is the one that the demo origin listens on", () => {
  assert.equal(configuredOrigin(), "http://127.0.0.1:8788");
});

test("provisioning covers every queue and bucket once", () => {
  assert.deepEqual(resources(), {
    queues: ["raincheck-high", "raincheck-normal", "raincheck-low", "raincheck-dead"],
    buckets: ["raincheck-bodies"],
  });
});
