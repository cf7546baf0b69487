// Bodies in transit to the bucket, with stand-ins for what only the runtime has: streams that are read with
// `readAtLeast`, a digest that is a stream, a stream of fixed length, and a bucket.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import { collect, store } from "../../src/edge/bodies.js";

const MIB = 1024 * 1024;
const NO_LIMIT = 2 ** 40;

/** Limits as Rust has them, with what a test needs to be otherwise. */
const limits = (changed = {}) => ({
  readBytes: 64 * 1024,
  readMillis: 60_000,
  wholeMillis: 3_600_000,
  heldBytes: 48 * MIB,
  heldMillis: 120_000,
  bucketMillis: 30_000,
  cleanUpMillis: 100,
  ...changed,
});

/** What every body begins with. */
const PATTERN = new Uint8Array(20 * MIB);
for (let i = 0; i < PATTERN.length; i += 1) PATTERN[i] = i % 251;

globalThis.crypto.DigestStream = class {
  #hash = createHash("sha256");
  #end = Promise.withResolvers();
  digest = this.#end.promise;

  getWriter() {
    return {
      write: async (bytes) => void this.#hash.update(bytes),
      close: async () => this.#end.resolve(this.#hash.digest().buffer),
      abort: async (error) => this.#end.reject(error),
    };
  }
};

globalThis.FixedLengthStream = class extends TransformStream {
  constructor() {
    super();
  }
};

/** A body of so many bytes, which ends or, unless it `ends`, stalls. */
function body(length, { ends = true } = {}) {
  let sent = 0;
  const reader = {
    async readAtLeast(_, view) {
      const { byteOffset, byteLength } = view;
      const buffer = view.buffer.transfer();
      const count = Math.min(byteLength, length - sent);
      if (count < byteLength && !ends) await new Promise(() => {});
      const filled = new Uint8Array(buffer, byteOffset, count);
      filled.set(PATTERN.subarray(sent, sent + count));
      sent += count;
      return { value: filled, done: count === 0 };
    },
    releaseLock() {},
    async cancel() {},
  };
  return { getReader: () => reader };
}


/** A bucket in memory, with the parts of each upload. */
function bucket() {
  const parts = [];
  const bytesOf = async (it) => Buffer.from(it instanceof ReadableStream ? await new Response(it).arrayBuffer() : it);
  return {
    parts,
    put: async (_, value) => void parts.push(await bytesOf(value)),
    delete: async () => {},
    createMultipartUpload: async () => ({
      uploadPart: async (number, value) => void (parts[number - 1] = await bytesOf(value)),
      complete: async () => {},
      abort: async () => {},
    }),
  };
}

/** Stores a body as the gateway does with one of unknown length. */
async function stored(length) {
  const target = bucket();
  const rest = await collect(body(length), 64 * 1024, undefined, limits());
  return { answer: await store(target, "key", rest, undefined, NO_LIMIT, limits()), parts: target.parts };
}

test("a body of unknown length is stored byte for byte, in parts of equal size except the last", async () => {
  for (const length of [65_537, 262_144, 300_000, MIB, 3 * MIB + 1, 5 * MIB, 5 * MIB + 1, 17 * MIB]) {
    const { answer, parts } = await stored(length);
    const expected = PATTERN.subarray(0, length);
    assert.equal(answer, `${length} ${createHash("sha256").update(expected).digest("hex")}`);
    assert.ok(Buffer.concat(parts).equals(expected), `${length}`);
    assert.ok(parts.slice(0, -1).every((part) => part.byteLength === 5 * MIB), `${length}`);
  }
});

/** The length of each buffer that is made while `act` runs. */
async function allocated(act) {
  const lengths = [0];
  const { Uint8Array } = globalThis;
  globalThis.Uint8Array = new Proxy(Uint8Array, {
    construct(target, how) {
      if (typeof how[0] === "number") lengths.push(how[0]);
      return Reflect.construct(target, how);
    },
  });
  await act();
  globalThis.Uint8Array = Uint8Array;
  return lengths;
}

test("a stalled body of unknown length holds about as much memory as has arrived", async () => {
  for (const [length, most] of [[100_000, 0.25 * MIB], [300_000, MIB], [2 * MIB, 4 * MIB]]) {
    const lengths = await allocated(async () => {
      const rest = await collect(body(length, { ends: false }), 64 * 1024, undefined, limits());
      store(bucket(), "key", rest, undefined, NO_LIMIT, limits({ readMillis: 100 }));
      await new Promise((resolve) => setTimeout(resolve, 50));
    });
    assert.ok(Math.max(...lengths) <= most, `${length}: ${Math.max(...lengths)}`);
  }
});

test("storing a long body leaves no more promise reactions behind than a short one", async () => {
  const { then } = Promise.prototype;
  const counts = [];
  for (const length of [MIB, 20 * MIB]) {
    let reactions = 0;
    Promise.prototype.then = function (...handlers) {
      reactions += 1;
      return then.apply(this, handlers);
    };
    const answer = await store(bucket(), "key", body(length), length, NO_LIMIT, limits());
    Promise.prototype.then = then;
    assert.ok(answer.startsWith(`${length} `), answer);
    counts.push(reactions);
  }
  assert.ok(counts[1] < counts[0] + 5, `${counts}`);
});

test("a write fails when the bucket stops reading", async () => {
  const target = { put: () => Promise.reject(new Error("the bucket fails")), delete: async () => {} };
  assert.equal(await store(target, "key", body(20 * MIB), 20 * MIB, NO_LIMIT, limits()), "storage");
});

test("a stalled body is ended, and its buffer no longer counts", async () => {
  const stalling = () => body(100_000, { ends: false });
  const short = limits({ readMillis: 20 });
  assert.equal(await collect(body(100, { ends: false }), 64 * 1024, undefined, short), "stalled");
  const none = { ...bucket(), put: () => new Promise(() => {}) };
  assert.equal(await store(none, "key", stalling(), 300_000, NO_LIMIT, short), "stalled");
  assert.equal(await store(none, "key", stalling(), undefined, NO_LIMIT, short), "stalled");
  // There is room for one buffer of 256 KiB.
  const tight = limits({ heldBytes: MIB / 4 });
  assert.ok((await store(bucket(), "key", body(300_000), 300_000, NO_LIMIT, tight)).startsWith("300000 "));
});

test("a body that takes longer than the limit for a whole body is ended, even if it arrives steadily", async () => {
  const slow = limits({ wholeMillis: 1 });
  const target = bucket();
  const put = target.put;
  target.put = async (key, value) => {
    await new Promise((resolve) => setTimeout(resolve, 20));
    return put(key, value);
  };
  assert.equal(await store(target, "key", body(20 * MIB), 20 * MIB, NO_LIMIT, slow), "stalled");
});

test("a call to a bucket that does not respond times out", async () => {
  const hangs = () => new Promise(() => {});
  const short = limits({ bucketMillis: 20 });
  const target = { put: hangs, createMultipartUpload: hangs };
  for (const announced of [20 * MIB, undefined]) {
    assert.equal(await store(target, "key", body(20 * MIB), announced, NO_LIMIT, short), "storage");
  }
});

test("the bytes in buffers are bounded, and a buffer whose client went away no longer counts", async () => {
  const tight = limits({ heldBytes: MIB, readMillis: 100 });
  const stalls = () => store(bucket(), "key", body(100_000, { ends: false }), 300_000, NO_LIMIT, tight);
  const more = (changed) => store(bucket(), "key", body(300_000), 300_000, NO_LIMIT, { ...tight, ...changed });
  const all = [stalls(), stalls(), stalls(), stalls()];
  assert.equal(await more(), "full");
  // A response of the origin is never rejected.
  assert.ok((await more({ heldBytes: 0 })).startsWith("300000 "));
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok((await more({ heldMillis: 10 })).startsWith("300000 "));
  assert.deepEqual(await Promise.all(all), Array(4).fill("stalled"));
  assert.ok((await more()).startsWith("300000 "));
});
