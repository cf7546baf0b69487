// Where things are.

import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository. */
export const root = resolve(dirname(fileURLToPath(import.meta.url)), "..", "..");

/** A path inside the repository. */
export const inRoot = (...parts) => join(root, ...parts);

/** Built tools, shared by every clone of this user. */
export function cacheDirectory() {
  const base = process.env.XDG_CACHE_HOME;
  // The XDG base directory specification says to ignore a relative path.
  return join(base?.startsWith("/") ? base : join(homedir(), ".cache"), "raincheck");
}
