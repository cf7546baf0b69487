// `npm run check`: is the configuration valid?

import { checkConfiguration } from "./lib/configuration.mjs";
import { checkPrerequisites } from "./lib/prerequisites.mjs";
import { main, readArguments } from "./lib/ui.mjs";

const HELP = `
npm run check [-- FILE]: checks the RAINCHECK configuration in wrangler.toml (or in FILE).

Names the field, its value and what is allowed for everything that is wrong, and ends
with status 1 then. A deployment with such a configuration would answer 503.
`;

await main(async () => {
  const { positionals } = readArguments(HELP, {}, { allowPositionals: true });
  await checkPrerequisites();
  await checkConfiguration({ file: positionals[0] });
});
