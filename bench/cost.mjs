// What one job costs in billed operations, counted in a separate run, and the price of a million.
import { acceptMany, brokerTotals, drained, expectSucceeded } from "./jobs.mjs";

const JOBS = 2400; // The tables of a window cost some 6 rows, which its jobs share.
const WARM_JOBS = 64; // Sent one by one, they reach every shard, so that all have created their tables, which are not a job's cost.
const TURN_MS = 60; // Jobs that come closer together than 50 ms go to one shard.
const LOOKED_AT = 8; // Jobs whose end and expiry are checked, one by one.
const RETENTION_SECS = 60; // Longer than all jobs take on a busy machine.
const WINDOW_SECS = 10; // Jobs accepted in the same window share a table. This is the shortest window.
const FORGOTTEN_SECS = 3 * WINDOW_SECS; // The window ends, the tombstone passes, and the table is forgotten a window later.
const EXPIRY_SECS_MAX = 180;

// Jobs that share nothing, one at a time in one shard. They are further apart than a window, and than the patience, after
// which an alarm checks whether the job was claimed.
const LONE_JOBS = 8;
const LONE_PATIENCE_SECS = 2;
const LONE_RETENTION_SECS = 30;
const LONE_PAUSE_MS = 1_000 * (WINDOW_SECS + 1);
const POLL_MS = 500;
const QUIET_POLLS = 10; // If nothing changed for this long after the retention, expiry is complete.

const OBJECT_GB = 0.128; // An object is billed as if it took its whole memory limit.

/** What is billed, and the list price of a million in dollars. */
const BILLED = [
  { name: "workerRequests", label: "Worker requests", dollars: 0.3 },
  { name: "objectRequests", label: "object requests", dollars: 0.15 },
  { name: "rowsWritten", label: "rows written", dollars: 1.0 },
  { name: "rowsRead", label: "rows read", dollars: 0.001 },
  { name: "queueOperations", label: "queue operations", dollars: 0.4 },
  { name: "r2Operations", label: "R2 operations (as writes)", dollars: 4.5 },
  { name: "objectGbSeconds", label: "object GB-s (measured here)", dollars: 12.5 },
];

const COST_SUBJECT = { name: "cost", ours: true, behind: "counted.js", retention: `${RETENTION_SECS}s` };

const LONE_SUBJECT = {
  name: "lone", ours: true, behind: "counted.js", shards: 1, retention: `${LONE_RETENTION_SECS}s`, patience: `${LONE_PATIENCE_SECS}s`,
};

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const json = async (url) => (await fetch(url)).json();

async function countsOf(runtime) {
  const [worker, queue, bucket] = await Promise.all([
    json(`${runtime.url()}/__counts`), brokerTotals(runtime), json(`${runtime.url("bucket")}/__counts`),
  ]);
  return {
    // A batch that wakes the consumer is a Worker request; an alarm that wakes an object is an object request.
    workerRequests: worker.workerRequests + worker.queueBatches,
    objectRequests: worker.objectRequests + worker.alarms,
    // A stored alarm is billed as one row.
    rowsWritten: worker.rowsWritten + worker.setAlarms,
    rowsRead: worker.rowsRead,
    // One operation to write a message, one to read it, one to delete it.
    queueOperations: queue.sent + queue.delivered + queue.acked + queue.dropped,
    r2Operations: bucket.calls,
    objectGbSeconds: (worker.objectMs / 1000) * OBJECT_GB,
    setAlarms: worker.setAlarms,
    alarms: worker.alarms,
    statements: worker.statements,
  };
}

function minus(after, before) {
  const difference = {};
  for (const [name, value] of Object.entries(after)) {
    difference[name] = typeof value === "object" ? minus(value, before[name] ?? {}) : value - (before[name] ?? 0);
  }
  return difference;
}

/** Waits until every record is gone and the counters no longer change. */
async function expired(runtime, documents, retentionSecs) {
  let last = "";
  let quiet = 0;
  for (let waited = 0; waited < EXPIRY_SECS_MAX * 1000; waited += POLL_MS) {
    await pause(POLL_MS);
    const now = JSON.stringify(await countsOf(runtime));
    quiet = now === last ? quiet + 1 : 0;
    last = now;
    if (quiet >= QUIET_POLLS && waited >= (retentionSecs + FORGOTTEN_SECS) * 1000) {
      await expectGone(runtime, documents);
      return JSON.parse(now);
    }
  }
  throw new Error(`the counters were still changing ${EXPIRY_SECS_MAX} s after the last job`);
}

/** An expired record gets 410, a forgotten one 404. */
async function expectGone(runtime, documents) {
  for (const path of documents) {
    const { status } = await fetch(runtime.url() + path);
    if (![404, 410].includes(status)) throw new Error(`${path} outlived its retention: ${status}`);
  }
}

/** Operations of jobs that arrive close together. */
export async function countCost(bench) {
  const runtime = await bench.start(COST_SUBJECT);
  try {
    bench.progress(`counting operations of ${JOBS} jobs`);
    await oneByOne(bench, runtime, WARM_JOBS, TURN_MS);
    const idle = await bench.peer.counts();
    const before = await countsOf(runtime);
    const documents = await acceptMany(runtime, JOBS);
    await drained(runtime, bench.peer, idle, JOBS);
    const worked = await countsOf(runtime);
    await expectSucceeded(runtime, documents.slice(0, LOOKED_AT));
    bench.progress("waiting for the records to expire");
    const read = await countsOf(runtime);
    const after = await expired(runtime, documents.slice(0, LOOKED_AT), RETENTION_SECS);
    return { jobs: JOBS, work: minus(worked, before), expiredJobs: JOBS + WARM_JOBS, expiry: minus(after, read) };
  } catch (error) {
    throw await runtime.explain("cost", error);
  } finally {
    await runtime.stop();
  }
}

/** Operations of jobs that each arrive alone. */
export async function countLoneCost(bench) {
  const runtime = await bench.start(LONE_SUBJECT);
  try {
    bench.progress(`counting operations of ${LONE_JOBS} jobs, each alone`);
    const tables = await oneByOne(bench, runtime, 1, LONE_PAUSE_MS);
    await expired(runtime, tables, LONE_RETENTION_SECS);
    const before = await countsOf(runtime);
    const documents = await oneByOne(bench, runtime, LONE_JOBS, LONE_PAUSE_MS);
    const worked = await countsOf(runtime);
    const after = await expired(runtime, documents, LONE_RETENTION_SECS);
    return { jobs: LONE_JOBS, work: minus(worked, before), expiredJobs: LONE_JOBS, expiry: minus(after, worked) };
  } catch (error) {
    throw await runtime.explain("lone cost", error);
  } finally {
    await runtime.stop();
  }
}

/** Sends jobs with a pause after each, and waits until they have ended. */
async function oneByOne(bench, runtime, jobs, pauseMs) {
  const idle = await bench.peer.counts();
  const documents = [];
  for (let job = 0; job < jobs; job += 1) {
    documents.push(...(await acceptMany(runtime, 1)));
    await pause(pauseMs);
  }
  await drained(runtime, bench.peer, idle, jobs);
  return documents;
}

/** Operations and dollars per job from the counted totals. */
export function priceOf({ jobs, work, expiredJobs, expiry }) {
  const lines = BILLED.map(({ name, label, dollars }) => {
    const perJob = { work: work[name] / jobs, expiry: expiry[name] / expiredJobs };
    return { name, label, perMillion: dollars, ...perJob, dollars: (perJob.work + perJob.expiry) * dollars };
  });
  return { lines, dollars: lines.reduce((sum, line) => sum + line.dollars, 0) };
}
