// Build tools written in Rust. Each is built once per version and kept in the user's cache.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";

import { cacheDirectory, inRoot } from "./paths.mjs";
import { run } from "./run.mjs";
import { Problem, elapsed, step } from "./ui.mjs";
import { lockedVersion } from "./versions.mjs";

const CARGO_DENY_VERSION = "0.20.2";

/** For tools that run for seconds: whole-program optimisation would more than double the build time. */
const QUICK_BUILD = {
  CARGO_PROFILE_RELEASE_OPT_LEVEL: "1",
  CARGO_PROFILE_RELEASE_LTO: "off",
  CARGO_PROFILE_RELEASE_CODEGEN_UNITS: "16",
};

/** Returns the path of `binary` below `home`. If it is missing, `build(directory)` first builds the contents of `home`. */
async function ensureBuilt(title, home, binary, minutes, build) {
  const path = join(home, "bin", binary);
  if (existsSync(path)) return path;

  step(`Building ${title} (once per version, about ${minutes} min; kept in ${home})`);
  const start = performance.now();
  // Built under another name, so that an interrupted build does not look complete.
  const partial = `${home}.partial-${process.pid}`;
  mkdirSync(partial, { recursive: true });
  try {
    await build(partial);
    // If another clone was faster, keep its build.
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

const REMEDY = "cargo needs access to crates.io; see its output above.";

/** The package that generates the JavaScript bindings of the wasm. */
const BINDGEN = ["Cargo.toml", "Cargo.lock", "main.rs"].map((name) => inRoot("scripts", "bindgen", name));

/** Returns the tool that generates the bindings. Its version must equal that of the wasm-bindgen library. */
export async function ensureBindgen() {
  const [manifest, lock] = BINDGEN;
  const version = lockedVersion("wasm-bindgen");
  const own = lockedVersion("wasm-bindgen-cli-support", lock);
  if (own !== version) {
    throw new Problem(
      `Cargo.lock has wasm-bindgen ${version}, but scripts/bindgen has wasm-bindgen-cli-support ${own}.`,
      `Set ${version} in scripts/bindgen/Cargo.toml, then run: cargo update --manifest-path scripts/bindgen/Cargo.toml`,
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

/** Returns the tool that checks the licences and sources of dependencies. */
export function ensureCargoDeny() {
  const home = join(cacheDirectory(), `cargo-deny-${CARGO_DENY_VERSION}`);
  return ensureBuilt(`cargo-deny ${CARGO_DENY_VERSION}`, home, "cargo-deny", 4, (directory) => {
    const args = ["install", "cargo-deny", "--version", `=${CARGO_DENY_VERSION}`, "--root", directory, "--locked"];
    return run("cargo", args, { env: { ...process.env, ...QUICK_BUILD }, quiet: true, remedy: REMEDY });
  });
}
