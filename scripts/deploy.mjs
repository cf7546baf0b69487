// `npm run deploy`: builds, checks, and deploys with wrangler.

import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

import { checkConfiguration } from "./lib/configuration.mjs";
import { BUNDLE, project } from "./lib/paths.mjs";
import { setUp } from "./lib/setup.mjs";
import { readSource } from "./lib/source.mjs";
import { main, readArguments, step, typed } from "./lib/ui.mjs";
import { bundleBytes, checkBundleSize, kibibytes } from "./lib/wasm.mjs";
import { runWrangler } from "./lib/wrangler.mjs";

const HELP = `
${typed("deploy", "[OPTIONS]")}: checks the configuration of the environment and deploys the
Worker with wrangler. Builds the Worker first if it is out of date.

Run \`${typed("provision")}\` once before, to create the queues and the bucket.

  --dry-run      stop before anything is sent, and leave the deployable bundle in dist/
  --env NAME     an environment of the configuration (default: CLOUDFLARE_ENV, else the top level)
  --config FILE  the configuration (default: wrangler.toml)

An origin on loopback is rejected, because a deployed Worker cannot reach it.
`;

/** Our Worker, unless the file names one that exists: npx may run a package that is not in this folder. */
async function workerInstead(file) {
  const { main: own } = (await readSource(file)).value;
  return own && existsSync(resolve(dirname(file), own)) ? [] : [BUNDLE.worker];
}

await main(async () => {
  const { values } = readArguments(HELP, {
    "dry-run": { type: "boolean" },
    env: { type: "string" },
    config: { type: "string", default: join(project, "wrangler.toml") },
  });
  const file = resolve(values.config);
  // As wrangler does: the option, then the variable.
  const environment = values.env ?? process.env.CLOUDFLARE_ENV ?? "";
  await setUp();
  step("Checking the configuration");
  await checkConfiguration({ file, environment, deploy: true });
  checkBundleSize();
  step(`The bundle is ${kibibytes(bundleBytes())} gzipped`);
  await runWrangler(
    ...["deploy", ...(await workerInstead(file)), "--config", file],
    ...(environment ? ["--env", environment] : []),
    ...(values["dry-run"] ? ["--dry-run", "--outdir", join(dirname(file), "dist")] : []),
  );
});
