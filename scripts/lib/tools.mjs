// Build tools written in Rust: built once per version, kept in the user's cache.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";

import { cacheDirectory, inRoot } from "./paths.mjs";
import { run } from "./run.mjs";
import { Problem, elapsed, step } from "./ui.mjs";
import { lockedVersion } from "./versions.mjs";

const CARGO_DENY_VERSION = "0.20.2";

/** Built to be used for seconds at a time: whole-program optimisation would more than double the wait. */
const QUICK_BUILD = {
  CARGO_PROFILE_RELEASE_OPT_LEVEL: "1",
  CARGO_PROFILE_RELEASE_LTO: "off",
  CARGO_PROFILE_RELEASE_CODEGEN_UNITS: "16",
};

/** Returns the path of `binary` below `home`, after `build(directory)` has made the like of `home` where it is missing. */
async function ensureBuilt(title, home, binary, minutes, build) {
  const path = join(home, "bin", binary);
  if (existsSync(path)) return path;

  step(`Building ${title} (once per version, about ${minutes} min; kept in ${home})`);
  const start = performance.now();
  // Under another name until it is complete, so that an interrupted build leaves nothing that looks whole.
  const partial = `${home}.partial-${process.pid}`;
  mkdirSync(partial, { recursive: true });
  try {
    await build(partial);
    // Another clone may have been faster: then its build stays.
    if (!existsSync(path)) {
      rmSync(home, { recursive: true, force: true });
      renameSync(partial, home);
    }
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
  step(`Built ${title} in ${elapsed(start)}`);
  return path;
}

const REMEDY = "cargo needs crates.io for this; see what it says above.";

/** The package that writes the JavaScript around the wasm. */
const BINDGEN = ["Cargo.toml", "Cargo.lock", "main.rs"].map((name) => inRoot("scripts", "bindgen", name));

/** Writes the JavaScript around the wasm. Its version must be exactly that of the library. */
export async function ensureBindgen() {
  const [manifest, lock] = BINDGEN;
  const version = lockedVersion("wasm-bindgen");
  const own = lockedVersion("wasm-bindgen-cli-support", lock);
  if (own !== version) {
    throw new Problem(
      `Cargo.lock has wasm-bindgen ${version}, and scripts/bindgen ${own} of its other half.`,
      `Put ${version} into scripts/bindgen/Cargo.toml, then: cargo update --manifest-path scripts/bindgen/Cargo.toml`,
    );
  }
  const hash = createHash("sha256");
  for (const file of BINDGEN) hash.update(readFileSync(file));
  const home = join(cacheDirectory(), `bindgen-${version}-${hash.digest("hex").slice(0, 8)}`);
  return ensureBuilt(`bindgen ${version}`, home, "bindgen", 1, async (directory) => {
    const target = join(directory, "target");
    await run("cargo", ["build", "--release", "--locked", "--manifest-path", manifest, "--target-dir", target], {
      quiet: true,
      remedy: REMEDY,
    });
    mkdirSync(join(directory, "bin"));
    renameSync(join(target, "release", "bindgen"), join(directory, "bin", "bindgen"));
    rmSync(target, { recursive: true });
  });
}

/** Checks dependencies' licences and origins. */
export function ensureCargoDeny() {
  const home = join(cacheDirectory(), `cargo-deny-${CARGO_DENY_VERSION}`);
  return ensureBuilt(`cargo-deny ${CARGO_DENY_VERSION}`, home, "cargo-deny", 4, (directory) => {
    const args = ["install", "cargo-deny", "--version", `=${CARGO_DENY_VERSION}`, "--root", directory, "--locked"];
    return run("cargo", args, { env: { ...process.env, ...QUICK_BUILD }, quiet: true, remedy: REMEDY });
  });
}
