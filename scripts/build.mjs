// `npm run build`, and the build command of wrangler.toml.

import { setUp } from "./lib/setup.mjs";
import { main, readArguments } from "./lib/ui.mjs";
import { checkBundleSize } from "./lib/wasm.mjs";

const HELP = `
npm run build [-- OPTIONS]: compiles the Worker into build/.

Does nothing if nothing has changed since the last build. First installs the npm packages
and builds the tools that are missing.

  --quick     a faster build, for a larger and slower bundle, as for \`npm start\`; an
              up-to-date full bundle is kept
  --verbose   show the compilers' output even if they succeed
`;

/** Set by `npm start` for the build command of wrangler.toml. */
const { RAINCHECK_BUILD } = process.env;

await main(async () => {
  const { values } = readArguments(HELP, { quick: { type: "boolean" }, verbose: { type: "boolean" } });
  const quick = values.quick || RAINCHECK_BUILD === "quick";
  // A save during `npm start` concerns the Worker only.
  await setUp({ quick, parts: RAINCHECK_BUILD === "quick" ? ["worker"] : undefined });
  if (!quick) checkBundleSize();
});
