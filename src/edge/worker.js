// The Worker's entry: passes every event to Rust, and survives its panics. It is JavaScript, because no WebAssembly
// runs after a panic.
//
// A panic cannot be caught in WebAssembly. It makes the instance unusable, and promises
// from Rust never settle: a caller would wait for ever, and an alarm would not be
// retried. So all calls under way are failed here at once. The generated bindings start a
// new instance on the next call; a shard object is then created again, because its pointer
// is into the old memory.

import { DurableObject } from "cloudflare:workers";
import * as rust from "raincheck-bindings";

import { Refused, within } from "./bodies.js";

/** The response to a request that failed with a panic. A Rust test has the same document. */
const INTERNAL_ERROR =
  '{"type":"/jobs/problems/internal_error","title":"The gateway failed","status":500,"detail":"The gateway failed","error":{"code":"internal_error","message":"The gateway failed"},"retryable":false}';

function failed(error) {
  if (error?.name === "OriginUnreachable") return rust.originUnreachable(error.method, error.varies);
  if (error?.name === "ShardUnavailable") return rust.shardUnavailable(error.safeToRepeat);
  console.error("Rust failed:", error);
  return new Response(INTERNAL_ERROR, {
    status: 500,
    headers: {
      "content-type": "application/problem+json",
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
    },
  });
}

/** The reject functions of the calls under way. */
const underWay = new Set();

function failAll(error) {
  const failures = [...underWay];
  underWay.clear();
  for (const fail of failures) fail(error);
}

/** Fails all calls if the error is a panic. */
function panicked(error) {
  if (error instanceof WebAssembly.RuntimeError) failAll(error);
}

// Rust's executor runs as a microtask, so its exceptions must be caught here. The runtime's own
// queueMicrotask is ten times as expensive as the reaction of a settled promise.
const settled = Promise.resolve();
globalThis.queueMicrotask = (task) => {
  settled.then(task).catch((error) => {
    console.error("Rust failed:", error);
    panicked(error);
  });
};

/**
 * Calls Rust with a function that takes the response, now or later; Rust may also return the response.
 * Rejects if the instance panics.
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

/** The number of the running instance. Starts a new one if the last has panicked. */
function instance() {
  return rust.__worker_init_state().instanceId;
}

export default {
  /** Most requests are one call to the platform, whose promise Rust returns without waiting for it. */
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

  /** The shard object of the running instance. */
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
    const run = (body) => guarded((answer) => this.#current().call(call, new Uint8Array(body), packed, answer));
    // Most calls have no body. To read one needs a timer, which costs a tenth of a status read.
    if (request.body === null) return run();
    return within(request.arrayBuffer(), rust.bodyMillis(), "stalled").then(
      run,
      (error) => (error instanceof Refused ? rust.bodyStalled() : rust.bodyIncomplete()),
    );
  }

  alarm(info) {
    return guarded(() => this.#current().alarm(info?.isRetry === true));
  }

  // Watchers send no messages.
  webSocketMessage() {}
  webSocketClose() {}
  webSocketError() {}
}
