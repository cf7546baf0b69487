// The Worker as the runtime sees it: hands every event to Rust, and outlives its panics. JavaScript, because after a
// panic nothing in WebAssembly runs any more.
//
// A panic cannot be caught in WebAssembly. It leaves the instance unusable, and promises
// that Rust has handed out never settle: a caller would wait for ever, an alarm would not
// be tried again. So all that is under way fails here, at once. The generated bindings
// start a new instance on the next call; a shard is then built anew, because a pointer
// into the old memory means nothing in the new one.

import { DurableObject } from "cloudflare:workers";
import * as rust from "raincheck-bindings";

import { Refused, within } from "./bodies.js";

/** What a client gets when its request met a panic; Rust has the same document in one of its tests. */
const INTERNAL_ERROR =
  '{"type":"/jobs/problems/internal_error","title":"The gateway failed","status":500,"detail":"The gateway failed","error":{"code":"internal_error","message":"The gateway failed"},"retryable":false}';

function failed(error) {
  if (error?.name === "OriginUnreachable") return rust.originUnreachable(error.varies);
  if (error?.name === "ShardUnavailable") return rust.shardUnavailable(error.safeToRepeat);
  console.error("Rust failed:", error);
  return new Response(INTERNAL_ERROR, {
    status: 500,
    headers: {
      "content-type": "application/problem+json",
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
    },
  });
}

/** How to fail each call that is under way. */
const underWay = new Set();

function failAll(error) {
  const failures = [...underWay];
  underWay.clear();
  for (const fail of failures) fail(error);
}

/** Where something that Rust threw was caught. */
function panicked(error) {
  if (error instanceof WebAssembly.RuntimeError) failAll(error);
}

// Rust's executor runs as a microtask, where nobody waits for what it throws. The runtime's own
// function for that costs ten times what the reaction of a settled promise does.
const settled = Promise.resolve();
globalThis.queueMicrotask = (task) => {
  settled.then(task).catch((error) => {
    console.error("Rust failed:", error);
    panicked(error);
  });
};

/**
 * Calls Rust with a function to answer by, now or later; what it returns is an answer too. Fails
 * when the instance does.
 */
function guarded(call) {
  const { promise, resolve, reject } = Promise.withResolvers();
  const answer = (value) => {
    underWay.delete(reject);
    resolve(value);
  };
  const fail = (error) => {
    underWay.delete(reject);
    panicked(error);
    reject(error);
  };
  underWay.add(reject);
  try {
    const value = call(answer);
    if (value instanceof Promise) value.then(answer, fail);
    else if (value !== undefined) answer(value);
  } catch (error) {
    fail(error);
  }
  return promise;
}

/** The number of the running instance; starts a new one where the last has panicked. */
function instance() {
  return rust.__worker_init_state().instanceId;
}

export default {
  /** Most requests are one call to the platform, whose promise Rust hands over; nothing of Rust waits for it. */
  async fetch(request, env) {
    try {
      const answer = rust.fetch(request, env);
      return await (answer instanceof rust.Pending ? guarded(() => answer.run()) : answer);
    } catch (error) {
      panicked(error);
      return failed(error);
    }
  },

  queue(batch, env, context) {
    return guarded(() => rust.queue(batch, env, context));
  },
};

export class ShardObject extends DurableObject {
  #instance = instance();
  #shard = new rust.ShardObject(this.ctx, this.env);

  /** The shard in the running instance. */
  #current() {
    const running = instance();
    if (this.#instance !== running) {
      this.#shard = new rust.ShardObject(this.ctx, this.env);
      this.#instance = running;
    }
    return this.#shard;
  }

  fetch(request) {
    const call = request.headers.get("raincheck-call") ?? "";
    const packed = request.url.endsWith("/packed");
    return within(request.arrayBuffer(), rust.bodyMillis(), "stalled").then(
      (body) => guarded((answer) => this.#current().call(call, new Uint8Array(body), packed, answer)),
      (error) => (error instanceof Refused ? rust.bodyStalled() : rust.bodyIncomplete()),
    );
  }

  alarm(info) {
    return guarded(() => this.#current().alarm(info?.isRetry === true));
  }

  // Those who wait by a WebSocket have nothing to say.
  webSocketMessage() {}
  webSocketClose() {}
  webSocketError() {}
}
