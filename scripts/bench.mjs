// `npm run bench`: measures what Raincheck costs compared with bare Workers, on workerd. See bench/README.md.

import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

import { findTool } from "../bench/load.mjs";
import { readOptions } from "../bench/options.mjs";
import { runAll } from "../bench/run.mjs";
import { findWorkerd } from "../bench/runtime.mjs";
import { buildProgram } from "./lib/cargo.mjs";
import { inRoot, root } from "./lib/paths.mjs";
import { setUp } from "./lib/setup.mjs";
import { Problem, main } from "./lib/ui.mjs";

async function bench() {
  const options = readOptions();
  if (!existsSync("/proc/self/stat")) throw new Problem("The benchmark reads CPU time from /proc, which only Linux has.");
  const tool = findTool();
  if (!options.bundle) await setUp();
  const scratch = mkdtempSync(join(tmpdir(), "raincheck-load-"));
  try {
    const bundle = options.bundle ? resolve(options.bundle) : inRoot("build");
    const filler = () => buildProgram("the program that fills a shard", ["--profile", "simulate", "--example", "fill"]);
    await runAll({ ...options, filler, project: root, scratch, tool, binary: findWorkerd(root, options.workerd), bundle });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

await main(bench);
process.exit(0); // Otherwise idle connections of fetch would keep the process alive for seconds.
