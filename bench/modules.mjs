// Which files a built Worker consists of.
import { readFileSync } from "node:fs";
import { dirname, extname, join } from "node:path";

/** The module `name` of a directory, followed by the modules of that directory that it imports, at any depth. */
export function modulesFrom(directory, name, found = new Set()) {
  if (found.has(name)) return found;
  found.add(name);
  if (extname(name) === ".wasm") return found;
  const source = readFileSync(join(directory, name), "utf8");
  for (const [, target] of source.matchAll(/(?:from|import)\s*"(\.{1,2}\/[^"]+)"/g)) {
    modulesFrom(directory, join(dirname(name), target), found);
  }
  return found;
}
