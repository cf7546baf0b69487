// The timed runs. Subjects that are compared run side by side and are measured in turn, a second each, in many
// rounds, so that a temporarily slow machine is slow for all of them.
import { drive } from "./load.mjs";

const WARM_UP_REQUESTS = 8_000; // By then the cost of a request no longer falls: all hot code is compiled, both JavaScript and wasm.
const LEAD_MS = 200; // For the load tool to start and the first responses to arrive.
const TAIL_MS = 100; // The measurement ends before the load does.
const SETTLE_MS = 200; // For the work of the last requests to end before the next run begins.

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
 * The CPU time is read twice during the load, not before and after it: at the end of a run, every connection has a
 * request in flight whose CPU time is spent but which is not counted. That would distort the comparison.
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

async function startOne(bench, subject) {
  const runtime = await bench.start(subject);
  try {
    const { load, verify } = await subject.prepare(runtime.url());
    await warmUp(bench, runtime, load);
    return { subject, runtime, load, verify };
  } catch (error) {
    const explained = await runtime.explain(subject.name, error);
    await runtime.stop();
    throw explained;
  }
}

async function sampleOf(bench, { subject, runtime, load }, connections, round) {
  try {
    const sample = await measure(bench, runtime, load, connections, bench.seconds);
    if (sample.requests === 0) throw new Error(`no request got a response within ${bench.seconds} s`);
    return { subject: subject.name, round, ...sample, memoryMiB: runtime.peakMemoryMiB() };
  } catch (error) {
    throw await runtime.explain(subject.name, error);
  }
}

/** The order is different in each round, so that periodic load on the machine does not favour any subject. */
function shuffled(items) {
  const keyed = items.map((item) => ({ item, key: Math.random() }));
  return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item);
}

async function measureSideBySide(bench, subjects) {
  const running = [];
  const samples = [];
  try {
    for (const subject of subjects) {
      bench.progress(`warming up: ${subject.title}`);
      running.push(await startOne(bench, subject));
    }
    for (let round = 1; round <= bench.rounds; round += 1) {
      bench.progress(`round ${round}/${bench.rounds}: ${subjects.map(({ name }) => name).join(", ")}`);
      // Each subject once for each number of connections, so that none is idle for ten seconds. After that the runtime evicts
      // objects, and a shard would then begin its next second by reading thousands of jobs that no consumer runs here.
      for (const connections of shuffled(bench.connections)) {
        for (const one of shuffled(running)) samples.push(await sampleOf(bench, one, connections, round));
      }
    }
    for (const { verify } of running) await verify?.();
    return samples;
  } finally {
    for (const { runtime } of running) await runtime.stop();
  }
}

/** Every sample of every round, in order. */
export async function timedRuns(bench, subjects) {
  const samples = [];
  for (const set of new Set(subjects.map((subject) => subject.set))) {
    samples.push(...(await measureSideBySide(bench, subjects.filter((subject) => subject.set === set))));
  }
  return samples;
}
