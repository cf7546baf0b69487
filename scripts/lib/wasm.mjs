// From Rust to build/index.js, unless nothing that goes into it has changed.

import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, relative } from "node:path";
import { gzipSync } from "node:zlib";

import { toolEnvironment } from "./node.mjs";
import { inRoot, root } from "./paths.mjs";
import { capture, run } from "./run.mjs";
import { ensureWasmBindgen, ensureWorkerBuild } from "./tools.mjs";
import { Problem, elapsed, step } from "./ui.mjs";

const OUTPUTS = [inRoot("build", "index.js"), inRoot("build", "index_bg.wasm")];
const STAMP = inRoot("build", ".inputs");
const INPUTS = ["src", "Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "package-lock.json", "scripts/lib/wasm.mjs"];

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

function isCurrent(inputs) {
  return existsSync(STAMP) && OUTPUTS.every(existsSync) && readFileSync(STAMP, "utf8") === inputs;
}

/** esbuild itself, not its JavaScript wrapper. */
function esbuild() {
  const require = createRequire(inRoot("node_modules", "esbuild", "package.json"));
  return require.resolve(`@esbuild/${process.platform}-${process.arch}/bin/esbuild`);
}

/** Builds the bundle where it is not current. Needs the npm packages. */
export async function ensureWasm() {
  const inputs = fingerprint();
  if (isCurrent(inputs)) return;

  const env = {
    ...toolEnvironment(),
    WASM_BINDGEN_BIN: await ensureWasmBindgen(),
    WASM_OPT_BIN: inRoot("node_modules", "binaryen", "bin", "wasm-opt"),
    ESBUILD_BIN: esbuild(),
  };
  const workerBuild = await ensureWorkerBuild();
  step("Building the Worker (Rust to WebAssembly; the first time about 2 min)");
  const start = performance.now();
  await run(workerBuild, ["--release"], { env, remedy: "Put right what the compiler says above." });
  writeFileSync(STAMP, inputs);
  step(`Built the Worker in ${elapsed(start)}: ${kibibytes(bundleBytes())} gzipped`);
}

/** What the bundle weighs, gzipped. */
export function bundleBytes() {
  return OUTPUTS.reduce((sum, file) => sum + gzipSync(readFileSync(file)).length, 0);
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
