// The four steps from Rust to a Worker: cargo, wasm-bindgen, wasm-opt, esbuild. The first two also
// build the policy code for the commands, which is not part of the Worker.
//
// `worker-build` takes the same steps, but compiling it takes minutes and needs OpenSSL's
// headers; these tools are needed either way.
//
// A quick bundle omits whole-program optimisation and wasm-opt, so it is larger and slower.

import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";

import { modernNode, toolEnvironment } from "./node.mjs";
import { BUNDLE, inRoot } from "./paths.mjs";
import { TARGET } from "./prerequisites.mjs";
import { run, together } from "./run.mjs";
import { ensureBindgen } from "./tools.mjs";

/**
 * The WebAssembly features that rustc and wasm-bindgen use. They are listed one by one, so that wasm-opt
 * adds none that the runtime does not support yet.
 */
const FEATURES = [
  "bulk-memory",
  "exception-handling",
  "multivalue",
  "mutable-globals",
  "nontrapping-float-to-int",
  "reference-types",
  "sign-ext",
];

/** Profiles of Cargo.toml. */
const profileOf = (quick) => (quick ? "quick" : "release");

/**
 * For the release build: the cost up to which LLVM inlines a function. CPU time to read a configuration, before wasm-opt:
 * 205 µs with LLVM's default of 225, 220 µs with 60, 227 µs with 50, 278 µs with 40. The default makes the module an eighth
 * larger than 60.
 */
const INLINE_THRESHOLD = 50;

/**
 * For the release build: the size up to which LLVM unrolls a loop. Reading a configuration takes the same CPU time as with
 * LLVM's default of 300, which makes the module 2% larger.
 */
const UNROLL_THRESHOLD = 20;

/**
 * Flags that leave out of panic messages where this machine keeps the sources of crates. The bundle then does not
 * depend on the machine.
 */
async function withoutSourcePaths() {
  // The folders below are there only once something was downloaded.
  await run("cargo", ["fetch", "--locked", "--target", TARGET], { quiet: true });
  const sources = join(process.env.CARGO_HOME ?? join(homedir(), ".cargo"), "registry", "src");
  const registries = existsSync(sources) ? readdirSync(sources) : [];
  return registries.map((name) => `--remap-path-prefix=${join(sources, name)}/=`);
}

/** Compiles the library to `copy`. */
async function compile({ quick, copy, features = [] }) {
  const profile = profileOf(quick);
  // The macros of wasm-bindgen then use the executor that recovers from a panic.
  const env = { ...process.env, WASM_BINDGEN_USE_JS_SYS: "1" };
  if (!quick) {
    const given = (process.env.RUSTFLAGS ?? "").split(" ").filter((flag) => flag !== "");
    env.CARGO_ENCODED_RUSTFLAGS = [...given, ...(await withoutSourcePaths())].join("\x1f");
  }
  // As a module only, not as a library for tests too: unreachable code is not compiled.
  const args = ["rustc", "--lib", "--crate-type", "cdylib", "--profile", profile, "--target", TARGET, ...features];
  const thresholds = [`-inline-threshold=${INLINE_THRESHOLD}`, `-unroll-threshold=${UNROLL_THRESHOLD}`];
  const flags = quick ? [] : ["--", ...thresholds.map((threshold) => `-Cllvm-args=${threshold}`)];
  await run("cargo", [...args, ...flags], { env, quiet: true, remedy: "Fix the compiler errors above." });
  const targetDirectory = process.env.CARGO_TARGET_DIR ?? inRoot("target");
  // Cargo gives both modules this name.
  copyFileSync(join(targetDirectory, TARGET, profile, "raincheck.wasm"), copy);
}

async function bind(bindgen, module, directory) {
  mkdirSync(directory);
  await run(bindgen, [module, directory]);
  // In workerd a plain import returns the compiled module.
  const bindings = join(directory, "index.js");
  writeFileSync(bindings, readFileSync(bindings, "utf8").replace("import source ", "import "));
  return bindings;
}

async function optimise(directory) {
  const wasmOpt = inRoot("node_modules", "binaryen", "bin", "wasm-opt");
  const module = join(directory, "index_bg.wasm");
  await run(modernNode(), [
    wasmOpt,
    module,
    ...["-o", module, "-O3"],
    // Twice, because the first pass leaves work for another: 3 KB gzipped.
    "-O3",
    // Function names are stripped too: they are a tenth of the bundle, and a panic names its file and line anyway.
    ...["--strip-producers", "--strip-target-features"],
    ...FEATURES.map((name) => `--enable-${name}`),
  ]);
}

/**
 * Replaces the names of the imports and exports that wasm-bindgen makes up from a hash, in the module and in its
 * bindings. Hashes cannot be compressed. A new name is as long as the old one, so the module needs no other change.
 */
function shortenNames(directory) {
  const paths = ["index_bg.wasm", "index.js"].map((name) => join(directory, name));
  const [module, bindings] = paths.map((path) => readFileSync(path, "latin1"));
  const names = new Set(bindings.match(/\b(?:__wb|wasm_bindgen__)\w+_h?[0-9a-f]{16}(?:_\d+)?\b/g));
  const counted = new Map([...names].map((name, at) => [name, `_${String(at).padStart(name.length - 1, "0")}`]));
  // Longest first, because one name may begin with another.
  const longestFirst = [...counted].sort(([one], [other]) => other.length - one.length);
  const shorten = (text) => longestFirst.reduce((sofar, [name, short]) => sofar.replaceAll(name, short), text);
  writeFileSync(paths[0], shorten(module), "latin1");
  writeFileSync(paths[1], shorten(bindings), "latin1");
}

/** esbuild itself, not its JavaScript wrapper. */
function esbuild() {
  const require = createRequire(inRoot("node_modules", "esbuild", "package.json"));
  return require.resolve(`@esbuild/${process.platform}-${process.arch}/bin/esbuild`);
}

async function assemble(bindings, directory, quick) {
  // Names are kept in a quick bundle, for the stack traces of local runs.
  const minify = quick ? ["--minify-syntax", "--minify-whitespace"] : ["--minify"];
  await run(
    esbuild(),
    [
      inRoot("src", "edge", "worker.js"),
      ...["--bundle", "--format=esm", ...minify, "--log-level=warning"],
      // The bindings import a module once for each imported name.
      "--log-override:duplicate-object-key=silent",
      ...[`--alias:raincheck-bindings=${bindings}`, "--external:cloudflare:*", "--external:./index_bg.wasm"],
      `--outfile=${join(directory, "bundle.js")}`,
    ],
    { env: toolEnvironment() },
  );
}

/**
 * Builds the `parts` of `BUNDLE`, "worker" and "commands"; `dependencies` installs the npm packages. The files of an
 * earlier build stay usable until this one is complete.
 */
export async function buildBundle({ quick, parts, dependencies }) {
  const staging = inRoot("build", `.staging-${process.pid}`);
  mkdirSync(staging, { recursive: true });
  const [worker, commands] = ["worker", "commands"].map((name) => join(staging, name));
  const compileParts = async () => {
    // The dependencies are compiled once for both.
    if (parts.includes("commands")) await compile({ quick, copy: `${commands}.wasm`, features: ["--features", "commands"] });
    if (parts.includes("worker")) await compile({ quick, copy: `${worker}.wasm` });
  };
  try {
    const [, bindgen] = await together(compileParts, ensureBindgen, dependencies);
    if (parts.includes("commands")) {
      await bind(bindgen, `${commands}.wasm`, commands);
      renameSync(join(commands, "index_bg.wasm"), BUNDLE.commands);
    }
    if (parts.includes("worker")) {
      const bindings = await bind(bindgen, `${worker}.wasm`, worker);
      if (!quick) {
        await optimise(worker);
        shortenNames(worker);
      }
      await assemble(bindings, worker, quick);
      renameSync(join(worker, "index_bg.wasm"), BUNDLE.wasm);
      renameSync(join(worker, "bundle.js"), BUNDLE.worker);
      copyFileSync(inRoot("src", "edge", "local.js"), BUNDLE.local);
    }
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}
