import assert from "node:assert/strict";
import { test } from "node:test";

import { inRoot } from "../../scripts/lib/paths.mjs";
import { atLeast, lockedVersion, oldestRust } from "../../scripts/lib/versions.mjs";

test("versions compare as numbers, part by part", () => {
  assert.ok(atLeast("22.12.0", "22.12.0"));
  assert.ok(atLeast("v22.12.1", "22.12.0"));
  assert.ok(atLeast("22.100.0", "22.12.0"));
  assert.ok(atLeast("23.0.0", "22.12.0"));
  assert.ok(!atLeast("22.9.9", "22.12.0"));
  assert.ok(!atLeast("20.20.2", "22.12.0"));
  assert.ok(atLeast("1.95.0-nightly", "1.95"));
});

test("tools take their version from Cargo.lock", () => {
  assert.match(lockedVersion("wasm-bindgen"), /^\d+\.\d+\.\d+$/);
  assert.throws(() => lockedVersion("no-such-crate"), /does not name no-such-crate/);
});

test("both parts of wasm-bindgen have the same version", () => {
  const lock = inRoot("scripts", "bindgen", "Cargo.lock");
  assert.equal(lockedVersion("wasm-bindgen-cli-support", lock), lockedVersion("wasm-bindgen"));
});

test("the minimum Rust version is the one in Cargo.toml", () => {
  assert.match(oldestRust(), /^1\.\d+/);
});
