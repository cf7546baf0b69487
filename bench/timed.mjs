// The timed runs. Subjects that are set against one another run side by side and are measured in turn, a second
// each, many times over: a machine that is slow for a while is then slow for all of them.
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
    if (sample.requests === 0) throw new Error(`not one request was answered within ${bench.seconds} s`);
    return { subject: subject.name, round, ...sample, memoryMiB: runtime.peakMemoryMiB() };
  } catch (error) {
    throw await runtime.explain(subject.name, error);
  }
}

/** In an order of its own each round: whatever comes and goes on the machine in a rhythm meets nobody more than others. */
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
      // Everybody once for each number of connections: nobody waits for ten seconds, after which the runtime puts idle
      // objects away, and ours would begin its next second with reading the thousands of jobs that nobody works on here.
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

/** Every sample of every round, in the order taken. */
export async function timedRuns(bench, subjects) {
  const samples = [];
  for (const set of new Set(subjects.map((subject) => subject.set))) {
    samples.push(...(await measureSideBySide(bench, subjects.filter((subject) => subject.set === set))));
  }
  return samples;
}
