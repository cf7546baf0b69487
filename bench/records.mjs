// Is an accept as cheap in a full shard as in an empty one? One shard is filled by accepts alone; the CPU per
// accept is measured in short runs throughout, and reported near each of the requested sizes.
import { median } from "./report.mjs";
import { measure, warmUp } from "./timed.mjs";

const CHUNK_SECS = 2;
const CHUNKS_PER_TARGET = 5;
const CONNECTIONS = 256; // Fills the shard as fast as it can commit.

export const RECORDS_SUBJECT = { name: "records", title: "raincheck accept, one shard", ours: true, drop: true, shards: 1 };

async function fill(bench, runtime, load) {
  const chunks = [];
  const enough = Math.max(...bench.recordTargets);
  let records = 0;
  let chunksAfterLast = 0;
  const until = performance.now() + bench.fillSecondsMax * 1000;
  while (chunksAfterLast < CHUNKS_PER_TARGET && performance.now() < until) {
    bench.progress(`one shard with ${records} records`);
    const { requests, cpuMicros, p50 } = await measure(bench, runtime, load, CONNECTIONS, CHUNK_SECS);
    if (requests === 0) continue; // The disk stalled for the whole run, which says nothing about the shard.
    chunks.push({ records, requests, cpuMicros, p50 });
    if (records >= enough) chunksAfterLast += 1;
    records += requests;
  }
  return { chunks, records };
}

/** CPU per accept near each target; targets that were not reached in time are omitted and listed. */
export async function recordRuns(bench, prepare) {
  const runtime = await bench.start(RECORDS_SUBJECT);
  try {
    const { load, verify } = await prepare(runtime.url());
    // All requests have the same key and make one job: this warms nearly all of the code and leaves the shard almost empty.
    await warmUp(bench, runtime, { ...load, headers: { "Idempotency-Key": '"warm-up"' } });
    const { chunks, records } = await fill(bench, runtime, load);
    await verify();
    const near = bench.recordTargets.map((target) => {
      const group = chunks.filter((chunk) => chunk.records >= target).slice(0, CHUNKS_PER_TARGET);
      return group.length === 0
        ? { target, reached: false }
        : { target, reached: true, cpuMicros: median(group.map((chunk) => chunk.cpuMicros)), p50: median(group.map((chunk) => chunk.p50)) };
    });
    return { records, near, chunks };
  } catch (error) {
    throw await runtime.explain("records", error);
  } finally {
    await runtime.stop();
  }
}
