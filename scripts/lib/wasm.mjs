// Builds build/index.js from Rust, unless its inputs are unchanged.

import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { gzipSync } from "node:zlib";

import { buildBundle } from "./bundle.mjs";
import { BUNDLE, inRoot, root } from "./paths.mjs";
import { capture } from "./run.mjs";
import { Problem, elapsed, step } from "./ui.mjs";

const STAMP = inRoot("build", ".inputs");
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
const BUDGET_BYTES = 424 * 1024;

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

function isCurrent(kind, inputs) {
  if (!existsSync(STAMP) || !Object.values(BUNDLE).every(existsSync)) return false;
  const stamp = readFileSync(STAMP, "utf8");
  return KINDS[kind].some((enough) => stamp === `${enough} ${inputs}`);
}

/** Builds the bundle if it is out of date; `dependencies` installs the npm packages. */
export async function ensureWasm({ quick, dependencies }) {
  const [kind, inputs] = [quick ? "quick" : "full", fingerprint()];
  if (isCurrent(kind, inputs)) return dependencies();

  step(`Building the Worker (Rust to WebAssembly; about ${quick ? 1 : 2} min the first time)`);
  const start = performance.now();
  await buildBundle({ quick, dependencies });
  writeFileSync(STAMP, `${kind} ${inputs}`);
  step(`Built the Worker in ${elapsed(start)}${quick ? "" : `: ${kibibytes(bundleBytes())} gzipped`}`);
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
