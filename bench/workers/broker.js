// A small queue broker. It keeps what the runtime's queue binding sends (one message on /message, a JSON array on
// /batch) in memory and delivers it in batches to the consumer's queue handler. Each queue is one service, named by
// `ctx.props.queue`. Order is not kept and nothing survives the process, as in a local run.
const BATCH_SIZE_MAX = 1; // As in wrangler.toml.
const GATHER_MS = 5; // The least latency of a queue; short compared with an attempt.
const CONCURRENT_BATCHES_MAX = 4; // Consumers at once, per queue.
const RETRY_DELAY_SECS = 1;
const ATTEMPTS_MAX = 20;

const queues = new Map();

function queueNamed(name) {
  let queue = queues.get(name);
  if (!queue) {
    queue = { name, ready: [], pumps: 0, sent: 0, calls: 0, delivered: 0, acked: 0, retried: 0, dropped: 0, batches: 0, failures: 0 };
    queues.set(name, queue);
  }
  return queue;
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function decode(bytes, format) {
  if (format === "text") return new TextDecoder().decode(bytes);
  if (format === "json") return JSON.parse(new TextDecoder().decode(bytes));
  if (format === "bytes") return bytes;
  throw new Error(`message format ${format} is not supported by this broker`);
}

async function messagesOf(request) {
  const delay = request.headers.get("x-msg-delay-secs");
  if (new URL(request.url).pathname === "/message") {
    const body = decode(new Uint8Array(await request.arrayBuffer()), request.headers.get("x-msg-fmt"));
    return [{ body, delaySecs: Number(delay ?? 0) }];
  }
  const { messages } = await request.json();
  return messages.map(({ body, contentType, delaySecs }) => ({
    body: decode(Uint8Array.from(atob(body), (char) => char.charCodeAt(0)), contentType),
    delaySecs: delaySecs ?? Number(delay ?? 0),
  }));
}

/** Delivers one batch to the consumer. Returns the messages to redeliver, with their delay. */
async function deliver(queue, batch, consumer) {
  queue.batches += 1;
  queue.delivered += batch.length;
  for (const message of batch) message.attempts += 1;
  const answer = await consumer.queue(queue.name, batch).catch((error) => ({ outcome: String(error) }));
  if (answer.outcome !== "ok") queue.failures += 1;
  const acked = new Set(answer.explicitAcks ?? []);
  const retries = new Map((answer.retryMessages ?? []).map(({ msgId, delaySeconds }) => [msgId, delaySeconds]));
  const retryRest = answer.outcome !== "ok" || answer.retryBatch?.retry === true;
  const again = [];
  for (const message of batch) {
    const settled = answer.ackAll === true || acked.has(message.id);
    if (settled || !(retryRest || retries.has(message.id))) queue.acked += 1;
    else if (message.attempts >= ATTEMPTS_MAX) queue.dropped += 1;
    else again.push({ message, delaySecs: retries.get(message.id) ?? answer.retryBatch?.delaySeconds ?? RETRY_DELAY_SECS });
  }
  queue.retried += again.length;
  return again;
}

/** Delivers until nothing is left, within the request that found too few delivery loops running. */
async function pump(queue, consumer) {
  const later = [];
  queue.pumps += 1;
  try {
    await pause(GATHER_MS);
    while (queue.ready.length > 0) {
      const again = await deliver(queue, queue.ready.splice(0, BATCH_SIZE_MAX), consumer);
      later.push(...again.map(({ message, delaySecs }) => enqueue(queue, message, delaySecs, consumer)));
    }
  } finally {
    queue.pumps -= 1;
  }
  await Promise.all(later);
}

async function enqueue(queue, message, delaySecs, consumer) {
  if (delaySecs > 0) await pause(delaySecs * 1000);
  queue.ready.push(message);
  if (queue.pumps < CONCURRENT_BATCHES_MAX) await pump(queue, consumer);
}

export default {
  async fetch(request, env, ctx) {
    const { pathname } = new URL(request.url);
    if (pathname === "/__counts") return Response.json(Object.fromEntries(queues));
    const queue = queueNamed(ctx.props.queue);
    const metrics = { backlogCount: queue.ready.length, backlogBytes: 0, oldestMessageTimestamp: 0 };
    if (pathname === "/metrics") return Response.json(metrics);
    const messages = await messagesOf(request);
    queue.calls += 1;
    queue.sent += messages.length;
    for (const { body, delaySecs } of messages) {
      const message = { id: crypto.randomUUID(), timestamp: new Date(), body, attempts: 0 };
      ctx.waitUntil(enqueue(queue, message, delaySecs, env.CONSUMER));
    }
    return Response.json({ metadata: { metrics } });
  },
};
