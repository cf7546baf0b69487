// `npm run simulate`: seeded histories of a whole world, as many as there is time for.

import { buildProgram } from "./lib/cargo.mjs";
import { checkPrerequisites } from "./lib/prerequisites.mjs";
import { run } from "./lib/run.mjs";
import { main } from "./lib/ui.mjs";

await main(async () => {
  await checkPrerequisites();
  const options = process.argv.slice(2);
  const program = await buildProgram("the simulation", ["--profile", "simulate", "--example", "simulate"]);
  await run(program, options, {
    remedy: "What broke is printed above, with the command that runs it again.",
  });
});
