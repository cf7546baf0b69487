// The Worker as the runtime sees it: hands every event to Rust, and outlives its panics.
//
// A panic cannot be caught in WebAssembly. It leaves the instance unusable, and promises
// that Rust has handed out never settle: a caller would wait for ever, an alarm would not
// be tried again. So all that is under way fails here, at once. The generated bindings
// start a new instance on the next call; a shard is then built anew, because a pointer
// into the old memory means nothing in the new one.

import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";
import * as rust from "raincheck-bindings";

/** What a client gets when its request met a panic; Rust has the same document in one of its tests. */
const INTERNAL_ERROR =
  '{"type":"https://github.com/raincheck-edge/raincheck/blob/main/docs/problems/internal_error.md","title":"The gateway failed","status":500,"detail":"The gateway failed","error":{"code":"internal_error","message":"The gateway failed"},"retryable":false}';

function failed(error) {
  if (error?.name === "OriginUnreachable") return rust.originUnreachable();
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

const isPanic = (error) => error instanceof WebAssembly.RuntimeError;

// Where a panic surfaces that nobody called for: Rust's executor runs as a microtask.
addEventListener("error", ({ error }) => isPanic(error) && failAll(error));

/** Calls Rust; fails when the instance does. */
async function guarded(call) {
  const { promise: failure, reject: fail } = Promise.withResolvers();
  underWay.add(fail);
  try {
    return await Promise.race([call(), failure]);
  } catch (error) {
    if (isPanic(error)) failAll(error);
    throw error;
  } finally {
    underWay.delete(fail);
  }
}

/** The number of the running instance; starts a new one where the last has panicked. */
function instance() {
  return rust.__worker_init_state().instanceId;
}

export default class extends WorkerEntrypoint {
  fetch(request) {
    return guarded(() => rust.fetch(request, this.env)).catch(failed);
  }

  queue(batch) {
    return guarded(() => rust.queue(batch, this.env, this.ctx));
  }
}

export class ShardObject extends DurableObject {
  #instance = instance();
  #shard = new rust.ShardObject(this.ctx, this.env);

  #call(method, ...values) {
    const running = instance();
    if (this.#instance !== running) {
      this.#shard = new rust.ShardObject(this.ctx, this.env);
      this.#instance = running;
    }
    return guarded(() => this.#shard[method](...values));
  }

  fetch(request) {
    return this.#call("fetch", request);
  }

  alarm() {
    return this.#call("alarm");
  }

  webSocketMessage(socket, message) {
    return this.#call("webSocketMessage", socket, message);
  }

  webSocketClose(socket, code, reason, wasClean) {
    return this.#call("webSocketClose", socket, code, reason, wasClean);
  }

  webSocketError(socket, error) {
    return this.#call("webSocketError", socket, error);
  }
}
