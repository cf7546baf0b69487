// `npm run build`, and the build command of wrangler.toml.

import { setUp } from "./lib/setup.mjs";
import { main, readArguments } from "./lib/ui.mjs";
import { checkBundleSize } from "./lib/wasm.mjs";

const HELP = `
npm run build [-- OPTIONS]: compiles the Worker into build/.

Does nothing when nothing has changed since the last build. Installs the npm packages
and builds the tools first where they are missing.

  --quick     takes less time, for a bundle that is larger and slower; a full one that is
              current will do. \`npm start\` builds so
  --verbose   show what compilers print also when they do not fail
`;

/** Set by `npm start` for the build command of wrangler.toml. */
const { RAINCHECK_BUILD } = process.env;

await main(async () => {
  const { values } = readArguments(HELP, { quick: { type: "boolean" }, verbose: { type: "boolean" } });
  const quick = values.quick || RAINCHECK_BUILD === "quick";
  await setUp({ quick });
  if (!quick) checkBundleSize();
});
