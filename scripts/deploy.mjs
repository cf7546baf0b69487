// `npm run deploy`: build, check, hand over to wrangler.

import { checkConfiguration, configuredOrigin } from "./lib/configuration.mjs";
import { setUp } from "./lib/setup.mjs";
import { Problem, main, readArguments, step } from "./lib/ui.mjs";
import { bundleBytes, checkBundleSize, kibibytes } from "./lib/wasm.mjs";
import { runWrangler } from "./lib/wrangler.mjs";

const HELP = `
npm run deploy [-- --dry-run] [-- --env NAME]: builds the Worker, checks its
configuration and deploys it with wrangler.

\`npm run provision\` creates the queues and the bucket that it needs, once.

  --dry-run    stop before anything is sent; the deployable bundle is then in dist/
  --env NAME   an environment from wrangler.toml
`;

function checkOrigin() {
  const origin = configuredOrigin();
  const host = origin && URL.canParse(origin) ? new URL(origin).hostname : undefined;
  if (host === "localhost" || host === "[::1]" || host?.startsWith("127.")) {
    throw new Problem(
      `The origin in wrangler.toml is ${origin}, which a deployed Worker cannot reach.`,
      "Put your API's URL there and rules for its paths.",
    );
  }
}

await main(async () => {
  const { values } = readArguments(HELP, { "dry-run": { type: "boolean" }, env: { type: "string" } });
  if (!values["dry-run"]) checkOrigin();
  await setUp();
  step("Checking the configuration");
  await checkConfiguration();
  checkBundleSize();
  step(`The bundle is ${kibibytes(bundleBytes())} gzipped`);
  await runWrangler(
    "deploy",
    ...(values.env ? ["--env", values.env] : []),
    ...(values["dry-run"] ? ["--dry-run", "--outdir", "dist"] : []),
  );
});
