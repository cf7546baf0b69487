// From a fresh clone to something that runs.

import { ensureDependencies } from "./node.mjs";
import { checkPrerequisites } from "./prerequisites.mjs";
import { ensureWasm } from "./wasm.mjs";

/** Prerequisites, npm packages, tools and the Worker's bundle; what is there already is left alone. */
export async function setUp() {
  await checkPrerequisites();
  await ensureDependencies();
  await ensureWasm();
}
