#!/usr/bin/env node
// `npx raincheck COMMAND`: the commands of the package.

import { readFileSync } from "node:fs";

import { inRoot } from "./lib/paths.mjs";
import { Problem, main } from "./lib/ui.mjs";

const COMMANDS = {
  init: "writes wrangler.toml, the configuration, into this folder",
  start: "runs the gateway on this machine",
  check: "checks the configuration",
  provision: "creates the queues and the bucket in your Cloudflare account",
  deploy: "deploys the gateway",
};

const HELP = `
npx raincheck COMMAND [OPTIONS]: an edge gateway that turns slow HTTP requests into durable jobs.

${Object.entries(COMMANDS).map(([name, what]) => `  ${name.padEnd(10)} ${what}`).join("\n")}

  --version  show the version of this package
  --help     show this text; after a command, its options

Start with: npx raincheck init --origin https://api.example.com
`;

await main(async () => {
  const [name, ...args] = process.argv.slice(2);
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    console.log(HELP.trim());
    return;
  }
  if (name === "--version") {
    console.log(JSON.parse(readFileSync(inRoot("package.json"), "utf8")).version);
    return;
  }
  if (!Object.hasOwn(COMMANDS, name)) {
    throw new Problem(`There is no command ${JSON.stringify(name)}.`, `Give one of: ${Object.keys(COMMANDS).join(", ")}`);
  }
  // Each command reads its own arguments.
  process.argv.splice(2, Infinity, ...args);
  await import(`./${name}.mjs`);
});
