// `npm run lint`: the checks of CI other than the tests.

import { checkPrerequisites } from "./lib/prerequisites.mjs";
import { status } from "./lib/run.mjs";
import { ensureCargoDeny } from "./lib/tools.mjs";
import { Problem, elapsed, main, readArguments, step } from "./lib/ui.mjs";

const HELP = `
npm run lint: checks formatting, clippy for both targets, the documentation's links, and the
licences and sources of dependencies. Runs all checks and reports which failed.

  --quick   skip the check of dependencies, whose tool takes minutes to build the first time
`;

const DENY = ["-D", "warnings"];
const CHECKS = [
  { title: "formatting", args: ["fmt", "--all", "--check"] },
  { title: "clippy", args: ["clippy", "--all-targets", "--all-features", "--", ...DENY] },
  {
    title: "clippy for WebAssembly",
    args: ["clippy", "--lib", "--target", "wasm32-unknown-unknown", "--", ...DENY],
  },
  {
    title: "clippy for the commands",
    args: ["clippy", "--lib", "--target", "wasm32-unknown-unknown", "--features", "commands", "--", ...DENY],
  },
  {
    title: "documentation",
    args: ["doc", "--no-deps", "--document-private-items"],
    env: { RUSTDOCFLAGS: DENY.join(" ") },
  },
];

async function runCheck({ title, command = "cargo", args, env = {} }) {
  step(`Checking ${title}`);
  const start = performance.now();
  const code = await status(command, args, { env: { ...process.env, ...env } });
  return { title, passed: code === 0, took: elapsed(start) };
}

await main(async () => {
  const { values } = readArguments(HELP, { quick: { type: "boolean" } });
  await checkPrerequisites();
  const results = [];
  for (const check of CHECKS) results.push(await runCheck(check));
  if (!values.quick) {
    const command = await ensureCargoDeny();
    // Without "advisories", whose database is not in a package registry.
    results.push(await runCheck({ title: "dependencies", command, args: ["check", "bans", "licenses", "sources"] }));
  }
  console.log("");
  for (const { title, passed, took } of results) console.log(`${passed ? "passed" : "FAILED"}  ${title} (${took})`);
  if (results.some(({ passed }) => !passed)) throw new Problem("Some checks failed.", "See above.");
});
