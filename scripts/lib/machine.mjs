// Describes the machine for published figures.

import { arch, cpus, platform, release, totalmem } from "node:os";
import { readFileSync } from "node:fs";

import { inRoot } from "./paths.mjs";

const version = (name) => JSON.parse(readFileSync(inRoot("node_modules", name, "package.json"), "utf8")).version;

/** Processor, memory, system and relevant versions, in one line. */
export function machine() {
  const processors = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  const model = processors[0]?.model.trim() ?? "unknown processor";
  return (
    `${processors.length} × ${model}, ${memory} GiB, ${platform()} ${release()} ${arch()}; ` +
    `workerd ${version("workerd")}, wrangler ${version("wrangler")}, node ${process.versions.node}`
  );
}
