// From Rust to build/index.js, unless nothing that goes into it has changed.

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

/** What is deployed and weighed; `BUNDLE.local` is not. */
const DEPLOYED = [BUNDLE.worker, BUNDLE.wasm];

/** What a deployment may weigh, gzipped: it is parsed before the first request, within a second. */
const BUDGET_BYTES = 1024 * 1024;

function files(path) {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path)
    .sort()
    .flatMap((name) => files(join(path, name)));
}

/** One hash over everything that the bundle is made from. */
function fingerprint() {
  const hash = createHash("sha256");
  hash.update(capture("rustc", ["--version"]) ?? "");
  for (const file of INPUTS.flatMap((name) => files(inRoot(name)))) {
    hash.update(`\0${relative(root, file)}\0`).update(readFileSync(file));
  }
  return hash.digest("hex");
}

/** The kinds of bundles that will do. */
const KINDS = { quick: ["quick", "full"], full: ["full"] };

function isCurrent(kind, inputs) {
  if (!existsSync(STAMP) || !Object.values(BUNDLE).every(existsSync)) return false;
  const stamp = readFileSync(STAMP, "utf8");
  return KINDS[kind].some((enough) => stamp === `${enough} ${inputs}`);
}

/** Builds the bundle where it is not current; `dependencies` installs the npm packages. */
export async function ensureWasm({ quick, dependencies }) {
  const [kind, inputs] = [quick ? "quick" : "full", fingerprint()];
  if (isCurrent(kind, inputs)) return dependencies();

  step(`Building the Worker (Rust to WebAssembly; the first time about ${quick ? 1 : 2} min)`);
  const start = performance.now();
  await buildBundle({ quick, dependencies });
  writeFileSync(STAMP, `${kind} ${inputs}`);
  step(`Built the Worker in ${elapsed(start)}${quick ? "" : `: ${kibibytes(bundleBytes())} gzipped`}`);
}

/** What the bundle weighs, gzipped. */
export function bundleBytes() {
  return DEPLOYED.reduce((sum, file) => sum + gzipSync(readFileSync(file)).length, 0);
}

export const kibibytes = (bytes) => `${Math.ceil(bytes / 1024)} KiB`;

/** A `Problem` when the bundle is over its budget. */
export function checkBundleSize() {
  const bytes = bundleBytes();
  if (bytes > BUDGET_BYTES) {
    throw new Problem(
      `The bundle is ${kibibytes(bytes)} gzipped; its budget is ${kibibytes(BUDGET_BYTES)}.`,
      "Find out which dependency brought it: cargo tree --target wasm32-unknown-unknown",
    );
  }
}
