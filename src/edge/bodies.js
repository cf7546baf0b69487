// Bodies: streams of the runtime, which are read, hashed and written here because their bytes must not be copied
// into wasm memory. Rust decides: every limit comes from there as `limits`, with the names of bodies.rs,
// and what went wrong goes back as a word.

/** Something went wrong; the message is the word for it. */
export class Refused extends Error {}

/** The outcome of a promise, or a refusal with this word when it takes longer; 0 stands for no limit. */
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

/** Waits for what cleans up, but not for long, and whatever comes of it. */
async function cleanUp(promise, limits) {
  try {
    await within(promise, limits.cleanUpMillis, "storage");
  } catch {
    // What is left is swept later.
  }
}

/** What holds buffers in this isolate. */
const holds = new Set();

/** The bytes of all of them. */
let heldBytes = 0;

/**
 * The buffer of one body. When a client goes away, the runtime ends what runs for it, and no `finally` runs: a hold
 * that has not moved for longer than any wait lasts is such a one, and no longer counts.
 */
export class Hold {
  #bytes = 0;
  #at = 0;
  #limits;

  constructor(limits) {
    this.#limits = limits;
  }

  /** From now on the buffer has so many bytes; refuses where that is too much. */
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

  /** Some of the body came. */
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

/** Reads to the end, as bytes. */
export async function readAll(source) {
  return new Uint8Array(await source.arrayBuffer());
}

/** A first buffer where nothing says how long a body is: most small ones fit. */
const FIRST_BYTES = 4 * 1024;

/** Each further buffer is so many times larger, up to the limit. */
const GROWTH = 4;

/**
 * Reads a stream of at most `limit` bytes whole. Of a longer one comes back what was read, and the stream with the
 * rest; a word stands for one that could not be read, as `store` has them. `expected` is its length where one was
 * announced: a buffer that is far larger than the body costs more than reading it.
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

/** Reads until the end, or until a byte more than the limit is there: it shows that something follows. */
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
    // The runtime takes the buffer for the read, and gives it back with the view.
    if (value) buffer = new Uint8Array(value.buffer);
    if (done) return { bytes: buffer.subarray(0, filled), ended: true };
    filled += value.byteLength;
  }
  return { bytes: buffer, ended: false };
}

/** Ends a body that is not read any further, and with it the connection that it comes on. */
function letGo(reader) {
  reader.cancel().catch(() => {});
}

function enlarged(buffer, size) {
  const larger = new Uint8Array(size);
  larger.set(buffer);
  return larger;
}

/**
 * Most that is read at a time: large enough that the crossings between the runtime and JavaScript do not count,
 * small enough that many uploads fit into an isolate.
 */
const READ_BYTES = 256 * 1024;

/** R2 wants all parts but the last to have one size, of at least this. A part is a buffer, so no more than that. */
const PART_BYTES = 5 * 1024 * 1024;

/**
 * Stores a body while counting and hashing it: a stream, or what `collect` left of one. Returns "length hash", or the
 * word for what went wrong: "too_large", "incomplete", "stalled", "full", "storage". Memory stays flat: one buffer
 * that is used again and again, or, where the length was not announced, a part whose buffer grows with what comes.
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

/** A body that is read once, counted and hashed as it passes. */
class Source {
  length = 0;
  /** The buffer that the runtime took for the last read and gave back; undefined where it took none. */
  buffer;
  hold;
  #start;
  #reader;
  #limit;
  #limits;
  /** When the whole body has to be there. */
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
    // Where the body is given up, so is its hash.
    this.#digest.digest.catch(() => {});
  }

  /** The next bytes, in `buffer` or in one of their own; undefined at the end. */
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

  /** Leaves the rest to whom the body belongs, see `discard`; nobody waits for more of a stalled one. */
  giveUp(error) {
    if (error.message === "stalled") letGo(this.#reader);
    else this.#reader.releaseLock();
    this.#hasher.abort().catch(() => {});
  }
}

/** The buffer behind these bytes, for the next read: they have been written. */
function reused({ buffer }) {
  return new Uint8Array(buffer.byteLength < READ_BYTES ? READ_BYTES : buffer);
}

async function storeStream(bucket, key, source, announced, limits) {
  source.hold.take(READ_BYTES);
  const { readable, writable } = new FixedLengthStream(announced);
  const writer = writable.getWriter();
  const put = bucket.put(key, readable);
  // A bucket that fails stops reading; the abort ends a write that would wait for ever. One reaction for
  // the whole body: a race at each write would leave one behind for each.
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

/** The next part; shorter than a part at the end. Its buffer grows with what comes. */
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
    // The runtime took the buffer for the read, unless the bytes had been read before.
    if (bytes === undefined) return new Uint8Array(source.buffer ?? part.buffer, 0, filled);
    if (source.buffer === undefined) part.set(bytes, filled);
    else part = new Uint8Array(source.buffer);
    filled += bytes.byteLength;
  }
  return part;
}

/** Opens a stored body, or part of it; null when there is none. */
export async function open(bucket, key, first, count) {
  const object = await bucket.get(key, count === undefined ? {} : { range: { offset: first, length: count } });
  return object === null ? null : object.body;
}

export function remove(bucket, keys) {
  return bucket.delete(keys);
}

/**
 * Reads what is left of a request's body and throws it away, before an answer that did without: at most so many bytes
 * and for so long. The runtime closes the connection under a client that goes on sending (RFC 9112 section 9.6).
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
    // Nobody waits for the answer any more, or it is not worth more.
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
