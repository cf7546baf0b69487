// Whole jobs: accepted, queued, replayed to the origin, completed. The broker and the consumer run in the
// same process as the gateway, so the CPU per job includes the broker's.
import { drive } from "./load.mjs";
import { NEW_JOB, acceptOne } from "./subjects.mjs";

const POLL_MS = 100;
const DRAIN_SECS_MAX = 60;
const SAMPLE_JOBS = 16; // Jobs whose final status is checked, one by one.
const CALLERS = 8;

export const JOBS_SUBJECT = { name: "jobs", title: "raincheck whole jobs", ours: true };

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const json = async (url) => (await fetch(url)).json();

export async function brokerTotals(runtime) {
  const totals = { sent: 0, calls: 0, delivered: 0, acked: 0, retried: 0, dropped: 0, failures: 0, batches: 0, ready: 0 };
  for (const queue of Object.values(await json(`${runtime.url("broker")}/__counts`))) {
    for (const name of Object.keys(totals)) totals[name] += name === "ready" ? queue.ready.length : queue[name];
  }
  return totals;
}

/** Waits until `jobs` more than in `before` have reached the origin and the broker holds nothing. */
export async function drained(runtime, peer, before, jobs) {
  let last;
  for (let waited = 0; waited < DRAIN_SECS_MAX * 1000; waited += POLL_MS) {
    const [broker, origin] = await Promise.all([brokerTotals(runtime), peer.counts()]);
    const now = { sent: broker.sent, jobs: origin.jobs - before.jobs, attempts: origin.attempts - before.attempts, at: performance.now() };
    const settled = broker.acked + broker.dropped === broker.sent && now.jobs >= jobs;
    // A message may be in transit while the broker is empty, so it must be empty twice in a row.
    if (settled && last?.sent === now.sent && last.jobs === now.jobs) return last;
    last = settled ? now : undefined;
    await pause(POLL_MS);
  }
  const [broker, origin] = await Promise.all([brokerTotals(runtime), peer.counts()]);
  throw new Error(`${jobs} jobs accepted, ${origin.jobs - before.jobs} replayed within ${DRAIN_SECS_MAX} s; broker ${JSON.stringify(broker)}`);
}

export async function expectSucceeded(runtime, documents) {
  for (const path of documents) {
    const { status } = await json(runtime.url() + path);
    if (status !== "succeeded") throw new Error(`${path} ended as ${status}`);
  }
}

/** Accepts jobs from a few concurrent callers, so that some accepts share a commit but not as many as possible. */
export async function acceptMany(runtime, jobs) {
  const documents = [];
  let sent = 0;
  const caller = async () => {
    while (sent < jobs) {
      sent += 1;
      documents.push(await acceptOne(runtime.url()));
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
  return documents;
}

/** Accepts a few jobs one by one, waits for them and checks that each succeeded. */
async function fewJobs(bench, runtime) {
  const before = await bench.peer.counts();
  const documents = await acceptMany(runtime, SAMPLE_JOBS);
  await drained(runtime, bench.peer, before, documents.length);
  await expectSucceeded(runtime, documents);
}

async function burst(bench, runtime, connections) {
  const before = await bench.peer.counts();
  const { sent } = await brokerTotals(runtime);
  const cpuBefore = runtime.cpuSeconds();
  const began = performance.now();
  const accepted = await drive(bench.tool, runtime.url(), NEW_JOB, connections, bench.jobSeconds, bench.scratch);
  const done = await drained(runtime, bench.peer, before, accepted.requests);
  const seconds = (done.at - began) / 1000;
  // More than the load tool counted, because it drops the responses that are outstanding at its end.
  const { jobs, attempts } = done;
  return {
    connections, jobs, seconds, perSecond: jobs / seconds, cpuMicros: ((runtime.cpuSeconds() - cpuBefore) * 1e6) / jobs,
    attemptsPerJob: attempts / jobs, messagesPerJob: (done.sent - sent) / jobs, memoryMiB: runtime.peakMemoryMiB(),
  };
}

/** Jobs per second at each number of connections. */
export async function wholeJobs(bench) {
  const runtime = await bench.start(JOBS_SUBJECT);
  try {
    await fewJobs(bench, runtime);
    bench.progress("whole jobs, warming up");
    await burst(bench, runtime, Math.max(...bench.connections));
    const samples = [];
    for (const connections of bench.connections) {
      bench.progress(`whole jobs, ${connections} connections`);
      samples.push(await burst(bench, runtime, connections));
    }
    await fewJobs(bench, runtime);
    return samples;
  } catch (error) {
    throw await runtime.explain("jobs", error);
  } finally {
    await runtime.stop();
  }
}
