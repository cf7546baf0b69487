// From a fresh clone to something that runs.

import { ensureDependencies } from "./node.mjs";
import { isClone } from "./paths.mjs";
import { checkPrerequisites } from "./prerequisites.mjs";
import { ensureWasm } from "./wasm.mjs";

/**
 * Prerequisites, npm packages, tools and the Worker's bundle; what is there already is left alone. The package has
 * everything but the prerequisites. With `quick` a bundle will do that takes less time to build and runs slower.
 */
export async function setUp({ quick = false } = {}) {
  await checkPrerequisites();
  if (isClone) await ensureWasm({ quick, dependencies: ensureDependencies });
}
