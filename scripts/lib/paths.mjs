// Paths of the repository, the package and the project.

import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository, or the installed npm package. */
export const root = resolve(dirname(fileURLToPath(import.meta.url)), "..", "..");

/** A path inside the repository or the package. */
export const inRoot = (...parts) => join(root, ...parts);

/** Whether this is the repository, where the Worker is built. The package contains the built Worker. */
export const isClone = existsSync(inRoot("Cargo.toml"));

/** The folder of the user's wrangler.toml: the repository, or the folder in which a command of the package runs. */
export const project = isClone ? root : process.cwd();

/** The built files: the Worker, its wasm, the wrapper for `start`, and the policy code for the commands. */
export const BUNDLE = {
  worker: inRoot("build", "index.js"),
  wasm: inRoot("build", "index_bg.wasm"),
  local: inRoot("build", "local.js"),
  commands: inRoot("build", "commands.wasm"),
};

/** Where built tools are kept, shared by every clone of this user. */
export function cacheDirectory() {
  const base = process.env.XDG_CACHE_HOME;
  // The XDG base directory specification says to ignore a relative path.
  return join(base?.startsWith("/") ? base : join(homedir(), ".cache"), "raincheck");
}
