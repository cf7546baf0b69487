// `npm run kill`: the kill test of tests/edge/kills.rs with more kills and jobs, in rounds.

import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";

import { edgeBinary, edgeEnvironment } from "./lib/edge.mjs";
import { machine } from "./lib/machine.mjs";
import { inRoot } from "./lib/paths.mjs";
import { status } from "./lib/run.mjs";
import { setUp } from "./lib/setup.mjs";
import { Problem, elapsed, main, readArguments, readCount, step } from "./lib/ui.mjs";

const HELP = `
npm run kill [-- OPTIONS]: kills the gateway under load, again and again, and checks every job.

  --kills N     number of kills (default: 1000)
  --jobs M      number of accepted jobs (default: 50000)
  --minutes T   start no further round after this time
  --report F    where to keep the figures (default: .cache/kill-report.json)
  --fresh       discard the figures of earlier runs; otherwise the command resumes
                where the last run stopped
  --help        show this text

A round has at most 20 kills and starts with empty state. The exit status is 1 if any check failed.
`;

/** Few enough that an interruption costs little, many enough that jobs live through several kills. */
const KILLS_PER_ROUND = 20;

const TEST = "kills::repeated_kills_lose_no_accepted_job_and_end_none_twice";

/** Figures whose maximum is reported. All others are added up. */
const LARGEST = ["most_attempts"];
const NOT_ADDED = ["seed", "faults", ...LARGEST];

function read(file) {
  return JSON.parse(readFileSync(file, "utf8"));
}

function write(file, report) {
  mkdirSync(dirname(file), { recursive: true });
  // Written atomically, because the next run resumes from it.
  writeFileSync(`${file}.new`, `${JSON.stringify(report, undefined, 2)}\n`);
  renameSync(`${file}.new`, file);
}

function add(report, round) {
  const { total } = report;
  for (const [name, value] of Object.entries(round)) {
    if (LARGEST.includes(name)) total[name] = Math.max(total[name] ?? 0, value);
    else if (!NOT_ADDED.includes(name)) total[name] = (total[name] ?? 0) + value;
  }
  report.rounds += 1;
  report.faults.push(...round.faults);
}

function summary({ rounds, total, machine }) {
  const width = Math.max(...Object.keys(total).map((name) => name.length));
  const lines = Object.entries(total).map(([name, value]) => {
    return `${name.replaceAll("_", " ").padEnd(width)}  ${value.toLocaleString("en")}`;
  });
  return [...lines, `${"rounds".padEnd(width)}  ${rounds}`, machine].join("\n");
}

async function runRound(binary, env, round) {
  const file = inRoot(".cache", `kill-round-${process.pid}.json`);
  rmSync(file, { force: true });
  const code = await status(binary, [TEST, "--exact", "--nocapture"], {
    env: { ...env, ...round, RAINCHECK_KILL_REPORT: file },
  });
  if (!existsSync(file)) throw new Problem(`The round ended (${code}) without figures.`, "See its output above.");
  return read(file);
}

await main(async () => {
  const { values } = readArguments(HELP, {
    kills: { type: "string", default: "1000" },
    jobs: { type: "string", default: "50000" },
    minutes: { type: "string" },
    report: { type: "string", default: inRoot(".cache", "kill-report.json") },
    fresh: { type: "boolean" },
  });
  const [kills, jobs] = [readCount(values.kills, "--kills"), readCount(values.jobs, "--jobs")];
  const file = resolve(values.report);
  const until = values.minutes ? performance.now() + readCount(values.minutes, "--minutes") * 60_000 : Infinity;
  const start = performance.now();
  await setUp();
  const binary = edgeBinary();
  const report = existsSync(file) && !values.fresh ? read(file) : { rounds: 0, total: {}, faults: [] };
  report.machine = machine();
  const done = (name) => report.total[name] ?? 0;
  while ((done("kills") < kills || done("jobs") < jobs) && performance.now() < until) {
    const roundKills = Math.min(KILLS_PER_ROUND, Math.max(1, kills - done("kills")));
    const roundJobs = Math.max(roundKills, Math.ceil((jobs * roundKills) / kills));
    const round = await runRound(binary, edgeEnvironment(), {
      RAINCHECK_KILLS: String(roundKills),
      RAINCHECK_KILL_JOBS: String(roundJobs),
    });
    add(report, round);
    write(file, report);
    step(`${done("kills")} of ${kills} kills, ${done("jobs")} of ${jobs} jobs, ${report.faults.length} faults`);
    if (report.faults.length > 0) break;
  }
  console.log(summary(report));
  if (report.faults.length > 0) {
    throw new Problem(`${report.faults.length} faults, the first: ${report.faults[0]}`, `All are in ${file}.`);
  }
  step(`Done in ${elapsed(start)}; the figures are in ${file}`);
});
