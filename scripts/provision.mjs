// `npm run provision`: creates the queues and the bucket that a deployment needs.

import { resources } from "./lib/configuration.mjs";
import { ensureDependencies } from "./lib/node.mjs";
import { capture, run, shown } from "./lib/run.mjs";
import { main, readArguments, step, typed } from "./lib/ui.mjs";
import { wrangler } from "./lib/wrangler.mjs";

const HELP = `
${typed("provision", "[OPTIONS]")}: creates the queues and the bucket that wrangler.toml names.

Leaves existing ones unchanged, so it is safe to run again. Needs a Cloudflare account:
run \`npx wrangler login\` first, or set CLOUDFLARE_API_TOKEN.

  --dry-run      print the commands and create nothing
  --config FILE  the configuration (default: wrangler.toml)
`;

/** The resources to create, each with the words of its wrangler command. */
async function wanted(file) {
  const { queues, buckets } = await resources(file);
  return [
    ...queues.map((name) => ({ kind: "queue", words: ["queues"], name })),
    ...buckets.map((name) => ({ kind: "bucket", words: ["r2", "bucket"], name })),
  ];
}

await main(async () => {
  const { values } = readArguments(HELP, { "dry-run": { type: "boolean" }, config: { type: "string" } });
  await ensureDependencies();
  const all = await wanted(values.config);
  if (values["dry-run"]) {
    for (const { words, name } of all) console.log(shown("npx", ["wrangler", ...words, "create", name]));
    return;
  }
  step("Checking which of them exist");
  for (const { kind, words, name } of all) {
    if (capture(...wrangler(...words, "info", name)) !== undefined) {
      step(`The ${kind} ${name} exists`);
      continue;
    }
    step(`Creating the ${kind} ${name}`);
    const [command, args, options] = wrangler(...words, "create", name);
    await run(command, args, { ...options, remedy: "Is wrangler logged in? npx wrangler whoami" });
  }
});
