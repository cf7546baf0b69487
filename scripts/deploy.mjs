// `npm run deploy`: build, check, hand over to wrangler.

import { checkConfiguration } from "./lib/configuration.mjs";
import { setUp } from "./lib/setup.mjs";
import { main, readArguments, step } from "./lib/ui.mjs";
import { bundleBytes, checkBundleSize, kibibytes } from "./lib/wasm.mjs";
import { runWrangler } from "./lib/wrangler.mjs";

const HELP = `
npm run deploy -- [--dry-run] [--env NAME]: builds the Worker, checks the configuration
of the environment and deploys it with wrangler.

\`npm run provision\` creates the queues and the bucket that it needs, once.

  --dry-run    stop before anything is sent; the deployable bundle is then in dist/
  --env NAME   an environment from wrangler.toml (CLOUDFLARE_ENV by default, else the top level)

An origin on loopback is refused: a deployed Worker cannot reach it.
`;

await main(async () => {
  const { values } = readArguments(HELP, { "dry-run": { type: "boolean" }, env: { type: "string" } });
  // The one that wrangler takes: the option, then the variable.
  const environment = values.env ?? process.env.CLOUDFLARE_ENV ?? "";
  await setUp();
  step("Checking the configuration");
  await checkConfiguration({ environment, deploy: true });
  checkBundleSize();
  step(`The bundle is ${kibibytes(bundleBytes())} gzipped`);
  await runWrangler(
    "deploy",
    ...(environment ? ["--env", environment] : []),
    ...(values["dry-run"] ? ["--dry-run", "--outdir", "dist"] : []),
  );
});
