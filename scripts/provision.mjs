// `npm run provision`: the queues and the bucket that a deployment needs.

import { resources } from "./lib/configuration.mjs";
import { ensureDependencies } from "./lib/node.mjs";
import { capture, run, shown } from "./lib/run.mjs";
import { main, readArguments, step, typed } from "./lib/ui.mjs";
import { wrangler } from "./lib/wrangler.mjs";

const HELP = `
${typed("provision", "[OPTIONS]")}: creates the queues and the bucket that wrangler.toml names.

What exists already is left alone, so it can be run again. Needs a Cloudflare account:
run \`npx wrangler login\` first, or set CLOUDFLARE_API_TOKEN.

  --dry-run      print the commands, create nothing
  --config FILE  the configuration (default wrangler.toml)
`;

/** The kinds of things, with the words that wrangler has for them. */
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
  step("Asking Cloudflare for each of them");
  for (const { kind, words, name } of all) {
    if (capture(...wrangler(...words, "info", name)) !== undefined) {
      step(`The ${kind} ${name} is there`);
      continue;
    }
    step(`Creating the ${kind} ${name}`);
    const [command, args, options] = wrangler(...words, "create", name);
    await run(command, args, { ...options, remedy: "Is wrangler logged in? npx wrangler whoami" });
  }
});
