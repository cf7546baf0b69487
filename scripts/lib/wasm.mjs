// Builds the Worker and the policy code from Rust, unless their inputs are unchanged.

import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { gzipSync } from "node:zlib";

import { buildBundle } from "./bundle.mjs";
import { BUNDLE, inRoot, root } from "./paths.mjs";
import { capture } from "./run.mjs";
import { Problem, elapsed, step } from "./ui.mjs";

/** The two parts of a build: their files, and a file that says from which inputs they were built. */
const PARTS = {
  worker: { files: [BUNDLE.worker, BUNDLE.wasm, BUNDLE.local], stamp: inRoot("build", ".inputs") },
  commands: { files: [BUNDLE.commands], stamp: inRoot("build", ".commands-inputs") },
};
const INPUTS = [
  "src",
  "Cargo.toml",
  "Cargo.lock",
  "rust-toolchain.toml",
  "package-lock.json",
  "scripts/bindgen",
  "scripts/lib/bundle.mjs",
];

/** The deployed files, whose size is checked. `BUNDLE.local` is not deployed. */
const DEPLOYED = [BUNDLE.worker, BUNDLE.wasm];

/** The largest bundle, gzipped: it must be parsed within a second, before the first request. Little above the present size. */
const BUDGET_BYTES = 416 * 1024;

function files(path) {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path)
    .sort()
    .flatMap((name) => files(join(path, name)));
}

/** A hash over all inputs of the bundle. */
function fingerprint() {
  const hash = createHash("sha256");
  hash.update(capture("rustc", ["--version"]) ?? "");
  for (const file of INPUTS.flatMap((name) => files(inRoot(name)))) {
    hash.update(`\0${relative(root, file)}\0`).update(readFileSync(file));
  }
  return hash.digest("hex");
}

/** Which bundles are good enough for each kind. */
const KINDS = { quick: ["quick", "full"], full: ["full"] };

function isCurrent(part, kind, inputs) {
  const { files, stamp } = PARTS[part];
  if (![stamp, ...files].every(existsSync)) return false;
  const built = readFileSync(stamp, "utf8");
  return KINDS[kind].some((enough) => built === `${enough} ${inputs}`);
}

/**
 * Builds those of the `parts` that are out of date: the "worker", or the policy code for the "commands". `dependencies`
 * installs the npm packages.
 */
export async function ensureWasm({ quick, parts = Object.keys(PARTS), dependencies }) {
  const [kind, inputs] = [quick ? "quick" : "full", fingerprint()];
  const stale = parts.filter((part) => !isCurrent(part, kind, inputs));
  if (stale.length === 0) return dependencies();

  const what = stale.includes("worker") ? "the Worker" : "the policy code";
  step(`Building ${what} (Rust to WebAssembly; up to three minutes the first time)`);
  const start = performance.now();
  await buildBundle({ quick, parts: stale, dependencies });
  for (const part of stale) writeFileSync(PARTS[part].stamp, `${kind} ${inputs}`);
  const size = quick || !stale.includes("worker") ? "" : `: ${kibibytes(bundleBytes())} gzipped`;
  step(`Built ${what} in ${elapsed(start)}${size}`);
}

/** The size of the bundle, gzipped. */
export function bundleBytes() {
  return DEPLOYED.reduce((sum, file) => sum + gzipSync(readFileSync(file)).length, 0);
}

export const kibibytes = (bytes) => `${Math.ceil(bytes / 1024)} KiB`;

/** Throws a `Problem` if the bundle exceeds its budget. */
export function checkBundleSize() {
  const bytes = bundleBytes();
  if (bytes > BUDGET_BYTES) {
    throw new Problem(
      `The bundle is ${kibibytes(bytes)} gzipped; its budget is ${kibibytes(BUDGET_BYTES)}.`,
      "Find out which dependency added it: cargo tree --target wasm32-unknown-unknown",
    );
  }
}
