// Sets up everything that a fresh clone needs to run.

import { ensureDependencies } from "./node.mjs";
import { isClone } from "./paths.mjs";
import { checkPrerequisites } from "./prerequisites.mjs";
import { ensureWasm } from "./wasm.mjs";

/**
 * Checks the prerequisites, then installs or builds what is missing: npm packages, tools and the Worker's bundle. The
 * package has all of these. With `quick`, a bundle that builds faster and runs slower is enough. `parts` limits what is
 * built, as in `ensureWasm`.
 */
export async function setUp({ quick = false, parts } = {}) {
  await checkPrerequisites();
  if (isClone) await ensureWasm({ quick, parts, dependencies: ensureDependencies });
}
