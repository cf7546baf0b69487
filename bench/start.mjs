// How long the first request waits after a cold start of a shard that holds many jobs, and how long reading its
// active jobs blocks the object. An empty shard is measured for comparison.
import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

import { median } from "./report.mjs";
import { NEW_JOB, acceptOne } from "./subjects.mjs";

const FIRST = ["status", "accept"];
const QUIET_MS = 2_000; // If no page was read for this long, all have been read.
const LOAD_MS_MAX = 120_000;

const subject = { name: "start", ours: true, drop: true, behind: "started.js", shards: 1 };

/** The file of the only shard. */
function fileOf(directory) {
  const folder = join(directory, "disk", "bench-ShardObject");
  const files = readdirSync(folder).filter((name) => /^[0-9a-f]{64}\.sqlite$/.test(name));
  if (files.length !== 1) throw new Error(`${folder} holds ${files.length} shards instead of one`);
  return join(folder, files[0]);
}

async function timed(url, request, status) {
  const began = performance.now();
  const response = await fetch(url, { redirect: "manual", ...request });
  await response.arrayBuffer();
  if (response.status !== status) throw new Error(`${url}: ${response.status} instead of ${status}`);
  return performance.now() - began;
}

/** Sends status reads one after the other until no page has been read for a while. */
async function untilLoaded(runtime, document) {
  let slowest = 0;
  let last = { pages: -1 };
  let changed = performance.now();
  for (const until = changed + LOAD_MS_MAX; performance.now() < until; ) {
    slowest = Math.max(slowest, await timed(runtime.url() + document, {}, 200));
    const seen = await (await fetch(`${runtime.url()}/__start`)).json();
    if (seen.pages !== last.pages) changed = performance.now();
    last = seen;
    if (performance.now() - changed >= QUIET_MS) return { slowest, seen };
  }
  throw new Error(`the shard was still reading pages after ${LOAD_MS_MAX / 1000} s`);
}

/** A cold start of runtime and shard. The isolate is warm, so the first request waits only for the shard. */
async function startedBy(runtime, first, document) {
  await runtime.restart();
  await timed(`${runtime.url()}/hello`, {}, 200);
  const { method, paths, body, contentType } = NEW_JOB;
  const firstMs =
    first === "status"
      ? await timed(runtime.url() + document, {}, 200)
      : await timed(runtime.url() + paths[0], { method, body, headers: { "content-type": contentType } }, 202);
  const { slowest, seen } = await untilLoaded(runtime, document);
  const loadedMs = seen.pages === 0 ? 0 : seen.lastPageAt - seen.firstAt;
  return { first, firstMs, slowestMs: slowest, longestTurnMs: seen.longestTurnMs, loadedMs, pages: seen.pages };
}

async function measureShard(bench, name, fill) {
  const runtime = await bench.start(subject);
  try {
    const document = await acceptOne(runtime.url());
    await runtime.restart(fill);
    const samples = [];
    for (let round = 1; round <= bench.startRounds; round += 1) {
      for (const first of FIRST) {
        bench.progress(`starting: ${name}, first request: ${first}, round ${round}`);
        samples.push({ shard: name, round, ...(await startedBy(runtime, first, document)) });
      }
    }
    return samples;
  } catch (error) {
    throw await runtime.explain("start", error);
  } finally {
    await runtime.stop();
  }
}

const FIGURES = ["firstMs", "longestTurnMs", "slowestMs", "loadedMs", "pages"];

/** Medians by shard and first request. `filler` is the program `examples/fill.rs`. */
export async function timeStarts(bench, filler) {
  const { ended, active } = bench.startRows;
  const fill = async (directory) => {
    bench.progress(`filling a shard with ${ended} ended and ${active} active jobs`);
    const { stdout } = await promisify(execFile)(filler, [fileOf(directory), String(ended), String(active)]);
    bench.progress(stdout.trim());
  };
  const samples = [...(await measureShard(bench, "empty", undefined)), ...(await measureShard(bench, "full", fill))];
  if (samples.some(({ shard, pages }) => shard === "full" && pages * 512 < ended / 2)) {
    throw new Error("a full shard was started without reading its pages: does workers/started.js know the statement?");
  }
  const lines = ["empty", "full"].flatMap((shard) =>
    FIRST.map((first) => {
      const group = samples.filter((sample) => sample.shard === shard && sample.first === first);
      return { shard, first, ...Object.fromEntries(FIGURES.map((figure) => [figure, median(group.map((sample) => sample[figure]))])) };
    }),
  );
  return { ended, active, rounds: bench.startRounds, lines, samples };
}
