// Bodies: streams of the runtime, which are read, hashed and written here so that their bytes are not copied into wasm
// memory. Rust decides: it passes all limits as `limits`, with the names in bodies.rs, and gets a word for each kind
// of failure.

/** A failure; the message is its word. */
export class Refused extends Error {}

/** The outcome of a promise, or a failure with this word if it takes longer. 0 means no limit. */
export function within(promise, millis, word) {
  if (millis === 0) return promise;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Refused(word)), millis);
    settle(promise, timer, resolve, reject);
  });
}

async function settle(promise, timer, resolve, reject) {
  try {
    resolve(await promise);
  } catch (error) {
    reject(error);
  }
  clearTimeout(timer);
}

/** Waits for a clean-up step, but not for long, and ignores its outcome. */
async function cleanUp(promise, limits) {
  try {
    await within(promise, limits.cleanUpMillis, "storage");
  } catch {
    // A sweep deletes the rest later.
  }
}

/** The holds in this isolate. */
const holds = new Set();

/** The bytes of all holds. */
let heldBytes = 0;

/**
 * Counts the buffer of one body. When a client goes away, the runtime stops its request without running any `finally`.
 * So a hold without progress for longer than any wait no longer counts.
 */
export class Hold {
  #bytes = 0;
  #at = 0;
  #limits;

  constructor(limits) {
    this.#limits = limits;
  }

  /** The buffer now has `bytes` bytes. Fails if that is too much. */
  take(bytes) {
    const { heldBytes: most, heldMillis } = this.#limits;
    this.release();
    if (most > 0 && heldBytes + bytes > most) {
      for (const hold of holds) if (Date.now() - hold.#at > heldMillis) hold.release();
      if (heldBytes + bytes > most) throw new Refused("full");
    }
    this.#bytes = bytes;
    this.moved();
  }

  /** The body makes progress. */
  moved() {
    this.#at = Date.now();
    if (holds.has(this)) return;
    holds.add(this);
    heldBytes += this.#bytes;
  }

  release() {
    if (holds.delete(this)) heldBytes -= this.#bytes;
  }
}

/** Reads a body to its end, as bytes. */
export async function readAll(source) {
  return new Uint8Array(await source.arrayBuffer());
}

/** Size of the first buffer for a body of unknown length: most small bodies fit. */
const FIRST_BYTES = 4 * 1024;

/** The factor by which a buffer grows, up to the limit. */
const GROWTH = 4;

/**
 * Reads a stream of at most `limit` bytes. Of a longer one it returns the bytes read and the stream with the rest; on a
 * failure, one of the words of `store`. `expected` is the announced length, if any: a buffer far larger than the body
 * would be more expensive than reading it.
 */
export async function collect(stream, limit, expected = FIRST_BYTES, limits) {
  const reader = stream.getReader({ mode: "byob" });
  const hold = new Hold(limits);
  try {
    const read = await within(readUpTo(reader, limit, expected, hold), limits.readMillis, "stalled");
    if (read.ended) return read.bytes;
    reader.releaseLock();
    return { start: read.bytes, rest: stream };
  } catch (error) {
    if (!(error instanceof Refused)) return "incomplete";
    letGo(reader);
    return error.message;
  } finally {
    hold.release();
  }
}

/** Reads to the end, or one byte more than the limit, which shows that the body is longer. */
async function readUpTo(reader, limit, expected, hold) {
  let size = Math.min(limit, expected) + 1;
  hold.take(size);
  let buffer = new Uint8Array(size);
  let filled = 0;
  while (filled <= limit) {
    if (filled === buffer.length) {
      size = Math.min(buffer.length * GROWTH, limit + 1);
      hold.take(size);
      buffer = enlarged(buffer, size);
    }
    const { value, done } = await reader.readAtLeast(buffer.length - filled, buffer.subarray(filled));
    // The read detaches the buffer, and returns it with the view.
    if (value) buffer = new Uint8Array(value.buffer);
    if (done) return { bytes: buffer.subarray(0, filled), ended: true };
    filled += value.byteLength;
  }
  return { bytes: buffer, ended: false };
}

/** Cancels a body, and with it the connection that it comes on. */
function letGo(reader) {
  reader.cancel().catch(() => {});
}

function enlarged(buffer, size) {
  const larger = new Uint8Array(size);
  larger.set(buffer);
  return larger;
}

/**
 * Most bytes of one read: large enough that the number of calls does not matter, small enough that many uploads fit
 * into an isolate.
 */
const READ_BYTES = 256 * 1024;

/** R2 requires all parts but the last to have the same size, at least this. A part is buffered, so not more. */
const PART_BYTES = 5 * 1024 * 1024;

/**
 * Stores a body (a stream, or what `collect` left of one), and counts and hashes it on the way. Returns "length hash",
 * or the word of a failure: "too_large", "incomplete", "stalled", "full", "storage". Memory stays flat: one buffer is
 * reused, or, if the length was not announced, a part is buffered, which grows as bytes come in.
 */
export async function store(bucket, key, body, announced, limit, limits) {
  const source = new Source(body, limit, limits);
  try {
    if (announced === undefined) await storeParts(bucket, key, source, limits);
    else await storeStream(bucket, key, source, announced, limits);
    return `${source.length} ${await source.hash()}`;
  } catch (error) {
    source.giveUp(error);
    if (error instanceof Refused) return error.message;
    console.warn("bucket:", error);
    return "storage";
  } finally {
    source.hold.release();
  }
}

/** A body that is read once, and counted and hashed on the way. */
class Source {
  length = 0;
  /** The buffer of the last read; undefined if that did not use one. */
  buffer;
  hold;
  #start;
  #reader;
  #limit;
  #limits;
  /** When the whole body must have arrived. */
  #end;
  #digest = new crypto.DigestStream("SHA-256");
  #hasher = this.#digest.getWriter();

  constructor(body, limit, limits) {
    const stream = body.rest ?? body;
    this.#start = body.start;
    this.#reader = stream.getReader({ mode: "byob" });
    this.#limit = limit;
    this.#limits = limits;
    this.#end = Date.now() + limits.wholeMillis;
    this.hold = new Hold(limits);
    // The hash of an abandoned body is not awaited.
    this.#digest.digest.catch(() => {});
  }

  /** The next bytes, in `buffer` or in another one; undefined at the end. */
  async read(buffer) {
    this.buffer = undefined;
    const bytes = this.#start ?? (await this.#next(buffer));
    this.#start = undefined;
    this.hold.moved();
    if (bytes === undefined) {
      await this.#hasher.close();
      return undefined;
    }
    this.length += bytes.byteLength;
    if (this.length > this.#limit) throw new Refused("too_large");
    await this.#hasher.write(bytes);
    return bytes;
  }

  async #next(buffer) {
    const { readBytes, readMillis, wholeMillis } = this.#limits;
    if (wholeMillis > 0 && Date.now() > this.#end) throw new Refused("stalled");
    try {
      const reading = this.#reader.readAtLeast(Math.min(readBytes, buffer.byteLength), buffer);
      const { value, done } = await within(reading, readMillis, "stalled");
      this.buffer = value?.buffer;
      return done ? undefined : value;
    } catch (error) {
      throw error instanceof Refused ? error : new Refused("incomplete");
    }
  }

  async hash() {
    const bytes = new Uint8Array(await this.#digest.digest);
    return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  /** Stops reading. The owner of the body discards the rest, see `discard`; a stalled body is canceled. */
  giveUp(error) {
    if (error.message === "stalled") letGo(this.#reader);
    else this.#reader.releaseLock();
    this.#hasher.abort().catch(() => {});
  }
}

/** The buffer of these bytes, which have been written, for the next read. */
function reused({ buffer }) {
  return new Uint8Array(buffer.byteLength < READ_BYTES ? READ_BYTES : buffer);
}

async function storeStream(bucket, key, source, announced, limits) {
  source.hold.take(READ_BYTES);
  const { readable, writable } = new FixedLengthStream(announced);
  const writer = writable.getWriter();
  const put = bucket.put(key, readable);
  // If the bucket fails, it stops reading, and a write would wait for ever; the abort ends it. This is one reaction
  // for the whole body; a race at each write would leave one reaction behind each time.
  put.catch((error) => writer.abort(error).catch(() => {}));
  try {
    let buffer = new Uint8Array(READ_BYTES);
    for (let bytes; (bytes = await source.read(buffer)) !== undefined; ) {
      if (source.length > announced) throw new Refused("incomplete");
      await within(writer.write(bytes), limits.bucketMillis, "storage");
      buffer = reused(bytes);
    }
    if (source.length !== announced) throw new Refused("incomplete");
    await within(writer.close(), limits.bucketMillis, "storage");
    await within(put, limits.bucketMillis, "storage");
  } catch (error) {
    await cleanUp(writer.abort(error), limits);
    await cleanUp(put, limits);
    throw error;
  }
}

async function storeParts(bucket, key, source, limits) {
  const soon = (promise) => within(promise, limits.bucketMillis, "storage");
  let upload;
  const done = [];
  try {
    for (;;) {
      const part = await readPart(source);
      const isLast = part.byteLength < PART_BYTES;
      if (upload === undefined && isLast) return void (await soon(bucket.put(key, part)));
      upload ??= await soon(bucket.createMultipartUpload(key));
      if (part.byteLength > 0) done.push(await soon(upload.uploadPart(done.length + 1, part)));
      if (isLast) return void (await soon(upload.complete(done)));
    }
  } catch (error) {
    if (upload !== undefined) await cleanUp(upload.abort(), limits);
    throw error;
  }
}

/** The next part; the last one is shorter. Its buffer grows as bytes come in. */
async function readPart(source) {
  source.hold.take(READ_BYTES);
  let part = new Uint8Array(READ_BYTES);
  let filled = 0;
  while (filled < PART_BYTES) {
    if (filled === part.byteLength) {
      const size = Math.min(part.length * GROWTH, PART_BYTES);
      source.hold.take(size);
      part = enlarged(part, size);
    }
    const end = Math.min(filled + READ_BYTES, part.byteLength);
    const bytes = await source.read(part.subarray(filled, end));
    // The read has detached the buffer, unless the bytes had been read before.
    if (bytes === undefined) return new Uint8Array(source.buffer ?? part.buffer, 0, filled);
    if (source.buffer === undefined) part.set(bytes, filled);
    else part = new Uint8Array(source.buffer);
    filled += bytes.byteLength;
  }
  return part;
}

/** Opens a stored body, or part of it; null if there is none. */
export async function open(bucket, key, first, count) {
  const object = await bucket.get(key, count === undefined ? {} : { range: { offset: first, length: count } });
  return object === null ? null : object.body;
}

export function remove(bucket, keys) {
  return bucket.delete(keys);
}

/**
 * Reads and discards the rest of a request's body before a response that does not use it, up to `most` bytes and for a
 * limited time. Otherwise the runtime closes the connection while the client is still sending (RFC 9112 section 9.6).
 */
export async function discard(request, most, limits) {
  const { body } = request;
  if (body === null || body.locked) return;
  if (Number(request.headers.get("content-length")) > most) return;
  const reader = body.getReader({ mode: "byob" });
  const hold = new Hold(limits);
  try {
    hold.take(limits.readBytes);
    await within(readAway(reader, most, limits.readBytes), limits.readMillis, "stalled");
  } catch {
    // The client is gone, or it sends too much or too slowly.
    letGo(reader);
  } finally {
    hold.release();
  }
}

async function readAway(reader, most, size) {
  let buffer = new Uint8Array(size);
  for (let left = most; left > 0; ) {
    const { value, done } = await reader.read(buffer);
    if (done) return;
    left -= value.byteLength;
    buffer = new Uint8Array(value.buffer);
  }
}
