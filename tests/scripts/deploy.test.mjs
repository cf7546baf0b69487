import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

import { inRoot } from "../../scripts/lib/paths.mjs";

// An environment that does not exist, so that nothing can be deployed by mistake.
for (const args of [["--env", "nowhere"], ["--dry-run", "--env", "nowhere"]]) {
  test(`deploy ${args.join(" ")} looks at that environment before anything is sent`, () => {
    const done = spawnSync(process.execPath, [inRoot("scripts", "deploy.mjs"), ...args], { encoding: "utf8" });
    assert.equal(done.status, 1);
    assert.match(done.stderr, /wrangler\.toml: env: found no "nowhere"; allowed: /);
  });
}
