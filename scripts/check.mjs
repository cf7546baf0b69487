// `npm run check`: is the configuration valid?

import { checkConfiguration } from "./lib/configuration.mjs";
import { setUp } from "./lib/setup.mjs";
import { main, readArguments, typed } from "./lib/ui.mjs";

const HELP = `
${typed("check", "[FILE]")}: checks the configuration in wrangler.toml (or in FILE).

Runs the code that the Worker runs when it starts. Names line, column and field, what was
found and what is allowed for everything that is wrong, and ends with status 1 then. A
deployment with such a configuration would answer 503.
`;

await main(async () => {
  const { positionals } = readArguments(HELP, {}, { allowPositionals: true });
  await setUp({ quick: true });
  await checkConfiguration({ file: positionals[0] });
});
