// The whole benchmark: runs the requested parts one after the other and prints the results.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { join } from "node:path";

import { socketsOf, writeConfig } from "./config.mjs";
import { countCost, countLoneCost, priceOf } from "./cost.mjs";
import { timeDrops } from "./drops.mjs";
import { wholeJobs } from "./jobs.mjs";
import { recordRuns } from "./records.mjs";
import {
  bundleSize, costTable, dropsTable, jobsTable, ratioTable, ratios, recordsTable, sizeTable, startTable, summarize, timedTable,
} from "./report.mjs";
import { shareCpus, startPeer, startWorkerd } from "./runtime.mjs";
import { timeStarts } from "./start.mjs";
import { RATIOS, SUBJECTS, accepting } from "./subjects.mjs";
import { timedRuns } from "./timed.mjs";

function describeMachine(binary, placed) {
  return {
    cpu: `${cpus().length} × ${cpus()[0].model}`,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    workerd: execFileSync(binary, ["--version"], { encoding: "utf8" }).trim(),
    workerdHasItsOwnCpu: placed.length > 0,
    load: loadavg().map((value) => Number(value.toFixed(2))),
    date: new Date().toISOString().slice(0, 10),
  };
}

function prepare(options, peer, placed) {
  const here = join(options.project, "bench");
  const wrangler = join(options.project, "wrangler.toml");
  const parts = {
    bundle: options.bundle,
    workers: join(here, "workers"),
    wranglerToml: existsSync(wrangler) ? readFileSync(wrangler, "utf8") : "",
  };
  const began = Date.now();
  return {
    ...options,
    peer,
    progress: (text) => console.error(`[${((Date.now() - began) / 1000).toFixed(0).padStart(4)} s] ${text}`),
    start: (subject) =>
      startWorkerd([...placed, options.binary], (directory) => writeConfig(directory, subject, peer, parts), socketsOf(subject)),
  };
}

function print(title, text) {
  console.log(`\n## ${title}\n\n${text}`);
}

async function timedPart(bench, built, results) {
  const subjects = SUBJECTS.filter((subject) => bench.wants(subject.name) && (built || !subject.ours));
  if (subjects.length === 0) return;
  results.samples = await timedRuns(bench, subjects);
  results.summary = summarize(results.samples, SUBJECTS);
  results.ratios = ratios(results.samples, RATIOS);
  print("Requests", timedTable(results.summary, SUBJECTS));
  if (results.ratios.length > 0) print("Ratios", ratioTable(results.ratios));
}

/** The parts of Raincheck that are not compared with a bare Worker. */
async function ownParts(bench, results) {
  if (bench.wants("jobs")) {
    results.jobs = await wholeJobs(bench);
    print("Whole jobs", jobsTable(results.jobs));
  }
  if (bench.wants("records")) {
    results.records = await recordRuns(bench, accepting);
    print("Accepts as one shard fills", recordsTable(results.records));
  }
  if (bench.wants("cost")) {
    results.cost = await countCost(bench);
    results.price = priceOf(results.cost);
    print("Billed operations per job", costTable(results.cost, results.price));
    results.loneCost = await countLoneCost(bench);
    results.lonePrice = priceOf(results.loneCost);
    print("Billed operations of a job that is alone", costTable(results.loneCost, results.lonePrice));
  }
  if (bench.wants("start")) {
    results.start = await timeStarts(bench, await bench.filler());
    print("Starting a shard that holds many jobs", startTable(results.start));
  }
  if (bench.wants("size")) {
    results.size = bundleSize(bench.bundle);
    print("Bundle", sizeTable(results.size));
  }
}

export async function runAll(options) {
  const built = existsSync(join(options.bundle, "index.js"));
  const placed = shareCpus(); // Before the first process is started.
  const results = { machine: describeMachine(options.binary, placed), tool: options.tool, rounds: options.rounds, seconds: options.seconds };
  print("Machine", Object.entries(results.machine).map(([name, value]) => `- ${name}: ${value}`).join("\n"));
  if (!built) console.log(`\nNo ${options.bundle}/index.js: only the bare Workers are measured. Run \`npm run build\` first for the rest.`);
  const peer = await startPeer(join(options.project, "bench", "peer.mjs"));
  const bench = prepare(options, peer, placed);
  try {
    await timedPart(bench, built, results);
    if (built) await ownParts(bench, results);
    if (bench.wants("drops")) {
      results.drops = await timeDrops(bench);
      print("Dropping a table", dropsTable(results.drops));
    }
  } finally {
    await peer.stop();
    if (options.json) writeFileSync(options.json, `${JSON.stringify(results, null, 2)}\n`);
  }
}
