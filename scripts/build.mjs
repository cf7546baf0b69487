// `npm run build`, and the build command of wrangler.toml.

import { setUp } from "./lib/setup.mjs";
import { main, readArguments } from "./lib/ui.mjs";
import { checkBundleSize } from "./lib/wasm.mjs";

const HELP = `
npm run build: compiles the Worker into build/.

Does nothing when nothing has changed since the last build. Installs the npm packages
and builds the tools first where they are missing.
`;

await main(async () => {
  readArguments(HELP);
  await setUp();
  checkBundleSize();
});
