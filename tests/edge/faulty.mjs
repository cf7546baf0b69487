// The built Worker with faults between it and the platform: `TEST_FAULT` selects what happens
// to its queue messages, shards and bucket. Every alarm is logged, and the soak counts them there.

import worker, { ShardObject as Shard } from "../../build/index.js";

const QUEUES = ["QUEUE_HIGH", "QUEUE_NORMAL", "QUEUE_LOW"];
const DEAD_LETTERS = "raincheck-dead";

/** So often in a row at most: after each loss the shard waits twice as long before it sends again. */
const LOSSES_MAX = 3;

/** How often in a row the message about each job was lost. */
const losses = new Map();

function isLost(text) {
  const { shard, jobs } = JSON.parse(text);
  const names = jobs.map((job) => `${shard} ${job}`);
  const lost = Math.random() < 0.3 && names.every((name) => (losses.get(name) ?? 0) < LOSSES_MAX);
  for (const name of names) losses.set(name, lost ? (losses.get(name) ?? 0) + 1 : 0);
  return lost;
}

/** Loses three messages in ten and sends another three in ten three times. */
function unreliable(queue) {
  return {
    async send(text, ...how) {
      const times = isLost(text) ? 0 : Math.random() < 3 / 7 ? 3 : 1;
      for (let sent = 0; sent < times; sent += 1) await queue.send(text, ...how);
    },
    async sendBatch(messages, ...options) {
      for (const { body, ...how } of messages) await this.send(body, { ...options[0], ...how });
    },
  };
}

/** What is no message of ours: the Worker drops each. */
const BAD = [
  { body: "", contentType: "text" },
  { body: "not JSON", contentType: "text" },
  { body: "{}", contentType: "text" },
  { body: "null", contentType: "text" },
  { body: '{"v":"2","shard":0,"jobs":[1]}', contentType: "text" },
  { body: '{"v":1,"shard":65536,"jobs":[1]}', contentType: "text" },
  { body: '{"v":1,"shard":0,"jobs":["1"]}', contentType: "text" },
  { body: "[".repeat(100_000), contentType: "text" },
  { body: { v: 1, shard: 0, jobs: [] }, contentType: "json" },
  { body: null, contentType: "json" },
  { body: new Uint8Array([0, 255]), contentType: "bytes" },
  { body: new Date(0), contentType: "v8" },
];

/** Messages about no job, or about none that there is: nothing comes of them. */
const IDLE = [
  { body: '{"v":1,"shard":0,"jobs":[]}', contentType: "text" },
  { body: '{"v":1,"shard":0,"jobs":[0,1,18446744073709551615]}', contentType: "text" },
  { body: '{"v":1,"shard":65535,"jobs":[1]}', contentType: "text" },
];

/** Messages that a later build wrote: the queue has to deliver each again. */
const LATER = [
  { body: '{"v":2,"shard":0,"jobs":[1]}', contentType: "text" },
  { body: '{"v":255,"rows":{"of":"a later build"}}', contentType: "text" },
];

/** Puts such messages before and after each call's own, and says how many. */
function strewn(queue) {
  const sendBatch = (messages) => {
    const all = [...LATER, ...BAD, ...IDLE, ...messages, ...IDLE, ...BAD];
    console.log(`strewn: ${2 * BAD.length} bad among ${all.length - LATER.length} beside later: ${LATER.length}`);
    return queue.sendBatch(all);
  };
  return { send: (body, how) => sendBatch([{ body, ...how }]), sendBatch };
}

/** Notes each delivery of a message of a later build. */
function noteLater(batch) {
  const later = batch.messages.filter(({ body }) => LATER.some((of) => of.body === body));
  for (const { attempts } of later) console.log(`later build: ${batch.queue} delivery ${attempts}.`);
}

/** Longer than anybody waits. */
const HANGS_MS = 120_000;

/** What has hung already. */
const hung = new Set();

/** With the fault `storage-hangs`, the first call of each name is not answered. */
async function maybeHang(env, name) {
  if (env.TEST_FAULT !== "storage-hangs" || hung.has(name)) return;
  hung.add(name);
  console.log(`hangs: ${name}`);
  await scheduler.wait(HANGS_MS);
}

/** The tokens under which the first consumer claims its jobs. */
let firstTokens;

/** With the fault `claims-unheard`, all claims of the first consumer are granted, and it never learns of it. */
function isUnheard(claims) {
  const tokens = JSON.stringify(claims.map(({ token }) => token));
  firstTokens ??= tokens;
  console.log(`claim ${tokens === firstTokens ? "unheard" : "answered"}`);
  return tokens === firstTokens;
}

/** The bucket, of which the first call of each name hangs; of the puts, that of a request's body. */
function hanging(bucket, env) {
  const call = (name) => async (key, ...rest) => {
    const of = String(key).split("/")[0];
    if (name !== "put" || of === "requests") await maybeHang(env, `bucket ${name} ${of}`);
    return bucket[name](key, ...rest);
  };
  const names = ["put", "get", "delete", "createMultipartUpload"];
  return Object.fromEntries(names.map((name) => [name, call(name)]));
}

const FAULTY_QUEUES = { "unreliable-queues": unreliable, "bad-messages": strewn };

function faulty(env) {
  if (env.TEST_FAULT === "storage-hangs") return { ...env, BUCKET: hanging(env.BUCKET, env) };
  const fault = FAULTY_QUEUES[env.TEST_FAULT];
  if (fault === undefined) return env;
  const queues = QUEUES.map((name) => [name, fault(env[name])]);
  return { ...env, ...Object.fromEntries(queues) };
}

/** Whether a message has died since the start. */
let died = false;

export default {
  fetch: (request, env, context) => worker.fetch(request, faulty(env), context),

  queue(batch, env, context) {
    died ||= batch.queue === DEAD_LETTERS;
    if (env.TEST_FAULT === "consumer-fails" && !died) throw new Error("the consumer fails");
    if (env.TEST_FAULT === "bad-messages") noteLater(batch);
    return worker.queue(batch, faulty(env), context);
  },
};

export class ShardObject extends Shard {
  constructor(context, env) {
    super(context, faulty(env));
    this.given = env;
  }

  async fetch(request) {
    const { call } = JSON.parse(request.headers.get("raincheck-call"));
    const isOfResult = call.intend?.object.startsWith("results/");
    const name = typeof call === "string" ? call : Object.keys(call)[0];
    if (this.given.TEST_FAULT === "claims-unheard" && name === "claim" && isUnheard(call.claim)) {
      await super.fetch(request);
      return new Response(null, { status: 503 });
    }
    if (!isOfResult) await maybeHang(this.given, `shard ${name}`);
    return super.fetch(request);
  }

  alarm() {
    console.log("alarm rings");
    return super.alarm();
  }
}
