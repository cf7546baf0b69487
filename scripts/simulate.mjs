// `npm run simulate`: runs any number of seeded histories of the simulation.

import { buildProgram } from "./lib/cargo.mjs";
import { checkPrerequisites } from "./lib/prerequisites.mjs";
import { run } from "./lib/run.mjs";
import { main } from "./lib/ui.mjs";

await main(async () => {
  await checkPrerequisites();
  const options = process.argv.slice(2);
  const program = await buildProgram("the simulation", ["--profile", "simulate", "--example", "simulate"]);
  await run(program, options, {
    remedy: "The broken promise is printed above, with the command that repeats the history.",
  });
});
