// The timed runs: every subject in turn, several rounds, so that a noisy minute hits all of them alike.
import { drive } from "./load.mjs";

const WARM_UP_REQUESTS = 8_000; // By then what a request costs no longer falls: all that is hot is compiled, JavaScript and wasm alike.
const LEAD_MS = 200; // The load tool starts and the first answers come.
const TAIL_MS = 100; // The reading is over before the load is.
const SETTLE_MS = 200; // What the last requests left behind ends before the next run begins.

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Sends a load until the code is warm, within the time that the options allow. */
export async function warmUp(bench, runtime, load) {
  let requests = 0;
  for (let second = 0; second < bench.warmUpSecondsMax && requests < WARM_UP_REQUESTS; second += 1) {
    requests += (await drive(bench.tool, runtime.url(), load, Math.max(...bench.connections), 1, bench.scratch)).requests;
  }
}

/**
 * CPU, throughput and latency of one subject at one number of connections.
 *
 * The CPU time is read twice inside the load, not around it: at the end of a run every connection holds a
 * request that was paid for and is never counted, which would flatter whoever answers fast.
 */
export async function measure(bench, runtime, load, connections, seconds) {
  const driven = drive(bench.tool, runtime.url(), load, connections, seconds, bench.scratch);
  // An early failure surfaces at the `await` below, not as an unhandled rejection during the pauses.
  driven.catch(() => {});
  await pause(LEAD_MS);
  const first = reading(runtime);
  await pause(seconds * 1000 - LEAD_MS - TAIL_MS);
  const second = reading(runtime);
  const result = await driven;
  await pause(SETTLE_MS);
  const perSecond = result.requests / result.seconds;
  const cores = (second.cpuSeconds - first.cpuSeconds) / (second.atSeconds - first.atSeconds);
  return { connections, perSecond, cpuMicros: (cores * 1e6) / perSecond, requests: result.requests, ...result.latencyMs };
}

const reading = (runtime) => ({ cpuSeconds: runtime.cpuSeconds(), atSeconds: performance.now() / 1000 });

async function measureSubject(bench, subject, round) {
  const runtime = await bench.start(subject);
  try {
    const { load, verify } = await subject.prepare(runtime.url());
    await warmUp(bench, runtime, load);
    const samples = [];
    for (const connections of bench.connections) {
      const sample = await measure(bench, runtime, load, connections, bench.seconds);
      if (sample.requests === 0) throw new Error(`not one request was answered within ${bench.seconds} s`);
      samples.push({ subject: subject.name, round, ...sample, memoryMiB: runtime.peakMemoryMiB() });
    }
    await verify?.();
    return samples;
  } catch (error) {
    throw await runtime.explain(subject.name, error);
  } finally {
    await runtime.stop();
  }
}

/** Every sample of every round, in the order taken. */
export async function timedRuns(bench, subjects) {
  const samples = [];
  for (let round = 1; round <= bench.rounds; round += 1) {
    for (const subject of subjects) {
      bench.progress(`round ${round}/${bench.rounds}: ${subject.title}`);
      samples.push(...(await measureSubject(bench, subject, round)));
    }
  }
  return samples;
}
