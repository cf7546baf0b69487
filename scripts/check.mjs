// `npm run check`: checks the configuration.

import { checkConfiguration } from "./lib/configuration.mjs";
import { setUp } from "./lib/setup.mjs";
import { main, readArguments, typed } from "./lib/ui.mjs";

const HELP = `
${typed("check", "[FILE]")}: checks the configuration in wrangler.toml (or in FILE).

Runs the same code as the Worker at its start. Prints every mistake with line, column and
field, what was found and what is allowed, and exits with status 1 if there is one. A Worker
deployed with such a configuration would respond to every request with 503.
`;

await main(async () => {
  const { positionals } = readArguments(HELP, {}, { allowPositionals: true });
  await setUp({ quick: true, parts: ["commands"] });
  await checkConfiguration({ file: positionals[0] });
});
