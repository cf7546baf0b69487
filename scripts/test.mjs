// `npm test`: runs every test, from the pure core to the real runtime.

import { readdirSync } from "node:fs";

import { edgeEnvironment } from "./lib/edge.mjs";
import { modernNode } from "./lib/node.mjs";
import { inRoot } from "./lib/paths.mjs";
import { checkPrerequisites } from "./lib/prerequisites.mjs";
import { run } from "./lib/run.mjs";
import { setUp } from "./lib/setup.mjs";
import { elapsed, main, readArguments, step } from "./lib/ui.mjs";

const HELP = `
npm test [-- OPTIONS] [-- -- CARGO-ARGUMENTS]: runs every test.

  --native   only the tests that need no Worker runtime (the same as \`cargo test\`)
  --edge     only the tests against wrangler dev with the built Worker
  --help     show this text

Arguments after a second -- go to \`cargo test\`, for example a test's name:
npm test -- --native -- --lib job
`;

const NATIVE = ["test"];
const ALL = ["test", "--no-fail-fast", "--features", "edge-tests"];
const EDGE = ["test", "--features", "edge-tests", "--test", "edge"];

/** Histories of the simulation: a minute or two on two cores. `cargo test` alone runs a few seconds' worth. */
const HISTORIES = "20000";

/** Runs the tests of the scripts and of the demo origin. */
async function runScriptTests() {
  const files = readdirSync(inRoot("tests", "scripts")).map((name) => inRoot("tests", "scripts", name));
  step("Running the tests of the scripts and the demo origin");
  await run(modernNode(), ["--test", "--test-reporter=spec", ...files]);
}

async function runTests(what, args, env) {
  step(`Running ${what}: cargo ${args.join(" ")}`);
  await run("cargo", args, { env, remedy: "The failed tests are listed above, after `failures:`." });
}

await main(async () => {
  const { values, positionals } = readArguments(
    HELP,
    { native: { type: "boolean" }, edge: { type: "boolean" } },
    { allowPositionals: true },
  );
  const start = performance.now();
  if (values.native && !values.edge) {
    // These need neither npm packages nor the bundle.
    await checkPrerequisites();
    await runTests("native tests", [...NATIVE, ...positionals], process.env);
  } else {
    await setUp();
    const onlyEdge = values.edge && !values.native;
    if (!onlyEdge) await runScriptTests();
    const [what, args] = onlyEdge ? ["edge tests", EDGE] : ["all tests", ALL];
    await runTests(what, [...args, ...positionals], { RAINCHECK_HISTORIES: HISTORIES, ...edgeEnvironment() });
  }
  step(`Passed in ${elapsed(start)}`);
});
