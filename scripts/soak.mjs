// `npm run soak`: the soak test of tests/edge/soak.rs for any length of time.

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";

import { edgeBinary, edgeEnvironment } from "./lib/edge.mjs";
import { machine } from "./lib/machine.mjs";
import { inRoot } from "./lib/paths.mjs";
import { status } from "./lib/run.mjs";
import { setUp } from "./lib/setup.mjs";
import { Problem, elapsed, main, readArguments, readCount, step } from "./lib/ui.mjs";

const HELP = `
npm run soak [-- OPTIONS]: runs short-lived jobs at a constant rate and watches resource use.

  --minutes M   duration (default: 20)
  --rate R      jobs per second (default: 10)
  --report F    where to write the figures (default: .cache/soak-report.json)
  --help        show this text

Prints 40 samples of memory, rows, objects and alarms. The exit status is 1 if anything grew
after the first fifth of the time, or if anything was left after the last job's expiry.
`;

const TEST = "soak::resources_stay_flat_under_constant_load_and_nothing_remains";

await main(async () => {
  const { values } = readArguments(HELP, {
    minutes: { type: "string", default: "20" },
    rate: { type: "string", default: "10" },
    report: { type: "string", default: inRoot(".cache", "soak-report.json") },
  });
  const [minutes, rate] = [readCount(values.minutes, "--minutes"), readCount(values.rate, "--rate")];
  const file = resolve(values.report);
  const start = performance.now();
  await setUp();
  mkdirSync(dirname(file), { recursive: true });
  rmSync(file, { force: true });
  const code = await status(edgeBinary(), [TEST, "--exact", "--nocapture"], {
    env: {
      ...edgeEnvironment(),
      RAINCHECK_SOAK_SECONDS: String(minutes * 60),
      RAINCHECK_SOAK_RATE: String(rate),
      RAINCHECK_SOAK_REPORT: file,
    },
  });
  if (!existsSync(file)) throw new Problem(`The soak ended (${code}) without figures.`, "See its output above.");
  const report = { machine: machine(), ...JSON.parse(readFileSync(file, "utf8")) };
  writeFileSync(file, `${JSON.stringify(report, undefined, 2)}\n`);
  console.log(`${report.accepted} jobs accepted, ${report.alarms_per_job.toFixed(2)} alarms per job; ${report.machine}`);
  if (report.faults.length > 0) throw new Problem(report.faults.join("\n"), `All figures are in ${file}.`);
  step(`Done in ${elapsed(start)}; the figures are in ${file}`);
});
