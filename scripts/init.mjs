// `npx raincheck init`: writes the configuration of a new gateway.

import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline/promises";

import { project } from "./lib/paths.mjs";
import { checkPrerequisites } from "./lib/prerequisites.mjs";
import { GITIGNORE, devVars, wranglerToml } from "./lib/template.mjs";
import { Problem, main, readArguments, step } from "./lib/ui.mjs";

const HELP = `
npx raincheck init [OPTIONS]: writes wrangler.toml and .dev.vars into this folder, and a
.gitignore if there is none. Does not overwrite wrangler.toml or .dev.vars.

  --origin URL   the API behind the gateway; without this option, init asks for it
  --demo         use a demo API on this machine, which \`start\` starts
  --help         show this text
`;

const FILES = { "wrangler.toml": wranglerToml, ".dev.vars": devVars };

function checkOrigin(origin, what) {
  const url = URL.canParse(origin) ? new URL(origin) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new Problem(`${what} is ${JSON.stringify(origin)}, not a URL.`, "Give one like https://api.example.com.");
  }
  if (url.username || url.password || url.search || url.hash) {
    throw new Problem(
      `${what} is ${JSON.stringify(origin)}; an origin has no credentials, query or fragment.`,
      `Give ${url.origin}${url.pathname}. The gateway adds credentials to requests with \`headers\`; see docs/configuration.md.`,
    );
  }
  return origin;
}

async function askForOrigin() {
  if (!process.stdin.isTTY) {
    throw new Problem("--origin is missing.", "Give the address of your API: npx raincheck init --origin https://api.example.com");
  }
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    const answer = await terminal.question("The URL of your API (Enter: a demo API on this machine): ");
    return answer.trim() === "" ? undefined : checkOrigin(answer.trim(), "The URL");
  } finally {
    terminal.close();
  }
}

await main(async () => {
  const { values } = readArguments(HELP, { origin: { type: "string" }, demo: { type: "boolean" } });
  await checkPrerequisites();
  const present = Object.keys(FILES).filter((name) => existsSync(join(project, name)));
  if (present.length > 0) {
    throw new Problem(`${present.join(" and ")} exist${present.length > 1 ? "" : "s"} here already.`, "Edit it by hand, or use an empty folder.");
  }
  if (values.origin !== undefined && values.demo) throw new Problem("--origin and --demo cannot be combined.", "Give only one of them.");
  const given = values.origin === undefined ? undefined : checkOrigin(values.origin, "--origin");
  const origin = given ?? (values.demo ? undefined : await askForOrigin());
  for (const [name, content] of Object.entries(FILES)) writeFileSync(join(project, name), content(origin), { flag: "wx" });
  if (!existsSync(join(project, ".gitignore"))) writeFileSync(join(project, ".gitignore"), GITIGNORE);
  step("Wrote .dev.vars and wrangler.toml, with an example rule to edit");
  console.log("\nNext:\n\n  npx raincheck start\n");
});
