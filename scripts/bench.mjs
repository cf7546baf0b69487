// `npm run bench`: what Raincheck costs beside bare Workers, on workerd itself. See bench/README.md.
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { findTool } from "../bench/load.mjs";
import { HELP, readOptions } from "../bench/options.mjs";
import { runAll } from "../bench/run.mjs";
import { findWorkerd } from "../bench/runtime.mjs";

const project = dirname(dirname(fileURLToPath(import.meta.url)));

async function main() {
  const options = readOptions(process.argv.slice(2));
  if (options.help) {
    console.log(HELP);
    return;
  }
  if (!existsSync("/proc/self/stat")) throw new Error("the benchmark reads CPU time from /proc, which only Linux has");
  const scratch = mkdtempSync(join(tmpdir(), "raincheck-load-"));
  process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));
  await runAll({
    ...options,
    project,
    scratch,
    tool: findTool(),
    binary: findWorkerd(project, options.workerd),
    bundle: resolve(options.bundle === "build" ? join(project, "build") : options.bundle),
  });
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(`bench: ${error.message}`);
    process.exit(1);
  },
);
