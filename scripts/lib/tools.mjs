// Build tools written in Rust: built once per version, kept in the user's cache.

import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";

import { cacheDirectory } from "./paths.mjs";
import { run } from "./run.mjs";
import { elapsed, step } from "./ui.mjs";
import { lockedVersion } from "./versions.mjs";

const CARGO_DENY_VERSION = "0.20.2";

/** Built to be used for seconds at a time: whole-program optimisation would more than double the wait. */
const QUICK_BUILD = {
  CARGO_PROFILE_RELEASE_OPT_LEVEL: "1",
  CARGO_PROFILE_RELEASE_LTO: "off",
  CARGO_PROFILE_RELEASE_CODEGEN_UNITS: "16",
};

/** Returns the path of `binary` from `crate`, after building it where the cache has none. */
async function ensureTool({ crate, version, binary, locked, minutes }) {
  const home = join(cacheDirectory(), `${crate}-${version}`);
  const path = join(home, "bin", binary);
  if (existsSync(path)) return path;

  step(`Building ${crate} ${version} (once per version, about ${minutes} min; kept in ${home})`);
  const start = performance.now();
  // Under another name until it is complete, so that an interrupted build leaves nothing that looks whole.
  const partial = `${home}.partial-${process.pid}`;
  mkdirSync(partial, { recursive: true });
  try {
    const flags = locked ? ["--locked"] : [];
    await run("cargo", ["install", crate, "--version", `=${version}`, "--root", partial, ...flags], {
      env: { ...process.env, ...QUICK_BUILD },
      remedy: "cargo needs crates.io for this; see what it says above.",
    });
    // Another clone may have been faster: then its build stays.
    if (!existsSync(path)) {
      rmSync(home, { recursive: true, force: true });
      renameSync(partial, home);
    }
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
  step(`Built ${crate} in ${elapsed(start)}`);
  return path;
}

/** Writes the JavaScript around the wasm. Its version must be exactly that of the library. */
export function ensureWasmBindgen() {
  return ensureTool({
    crate: "wasm-bindgen-cli",
    version: lockedVersion("wasm-bindgen"),
    binary: "wasm-bindgen",
    // Its own lock file names a crate version that was withdrawn.
    locked: false,
    minutes: 3,
  });
}

/** Checks dependencies' licences and origins. */
export function ensureCargoDeny() {
  return ensureTool({
    crate: "cargo-deny",
    version: CARGO_DENY_VERSION,
    binary: "cargo-deny",
    locked: true,
    minutes: 4,
  });
}
