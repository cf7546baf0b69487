// Request and response bodies on the JavaScript side: streams that never enter wasm memory.

/** Reads to the end, as bytes. */
export async function readAll(source) {
  return new Uint8Array(await source.arrayBuffer());
}

/** A first buffer where nothing says how long a body is: most small ones fit. */
const FIRST_BYTES = 4 * 1024;

/** Each further buffer is so many times larger, up to the limit. */
const GROWTH = 4;

/**
 * Reads a stream of at most `limit` bytes whole. Of a longer one comes back what was read, and the
 * stream with the rest; null stands for one that broke off. `expected` is its length where one was
 * announced: a buffer that is far larger than the body costs more than reading it.
 */
export async function collect(stream, limit, expected = FIRST_BYTES) {
  const reader = stream.getReader({ mode: "byob" });
  // The byte more shows whether anything follows.
  let buffer = new Uint8Array(Math.min(limit, expected) + 1);
  let filled = 0;
  try {
    while (filled <= limit) {
      if (filled === buffer.length) buffer = enlarged(buffer, limit + 1);
      const { value, done } = await reader.readAtLeast(buffer.length - filled, buffer.subarray(filled));
      // The runtime takes the buffer for the read, and gives it back with the view.
      if (value) buffer = new Uint8Array(value.buffer);
      if (done) return buffer.subarray(0, filled);
      filled += value.byteLength;
    }
  } catch {
    return null;
  }
  reader.releaseLock();
  return { start: buffer, rest: stream };
}

function enlarged(buffer, most) {
  const larger = new Uint8Array(Math.min(buffer.length * GROWTH, most));
  larger.set(buffer);
  return larger;
}

/**
 * How much is read at a time: large enough that the crossings between the runtime and JavaScript do
 * not count, small enough that many uploads fit into an isolate.
 */
const READ_BYTES = 256 * 1024;

/** R2 wants all parts but the last to have one size, of at least 5 MiB. */
const PART_BYTES = 8 * 1024 * 1024;

/**
 * Stores a body while counting and hashing it: a stream, or what `collect` left of one. Returns
 * "length hash", or the word for what went wrong: "too_large", "incomplete", "storage". Then nothing
 * is kept. Memory stays flat: one buffer that is used again and again, or, where the length was not
 * announced, a part whose buffer grows with what comes.
 */
export async function store(bucket, key, body, announced, limit) {
  const source = new Source(body, limit);
  try {
    if (announced === undefined) await storeParts(bucket, key, source);
    else await storeStream(bucket, key, source, announced);
    return `${source.length} ${await source.hash()}`;
  } catch (error) {
    await source.giveUp();
    await bucket.delete(key).catch(() => {});
    if (error instanceof Refused) return error.message;
    console.warn("bucket:", error);
    return "storage";
  }
}

class Refused extends Error {}

/** A body that is read once, counted and hashed as it passes. */
class Source {
  length = 0;
  /** The buffer that the runtime took for the last read and gave back; undefined where it took none. */
  buffer;
  #start;
  #reader;
  #limit;
  #digest = new crypto.DigestStream("SHA-256");
  #hasher = this.#digest.getWriter();

  constructor(body, limit) {
    const stream = body.rest ?? body;
    this.#start = body.start;
    this.#reader = stream.getReader({ mode: "byob" });
    this.#limit = limit;
    // Where the body is given up, so is its hash.
    this.#digest.digest.catch(() => {});
  }

  /** The next bytes, in `buffer` or in one of their own; undefined at the end. */
  async read(buffer) {
    this.buffer = undefined;
    const bytes = this.#start ?? (await this.#next(buffer));
    this.#start = undefined;
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
    try {
      const { value, done } = await this.#reader.readAtLeast(buffer.byteLength, buffer);
      this.buffer = value?.buffer;
      return done ? undefined : value;
    } catch {
      throw new Refused("incomplete");
    }
  }

  async hash() {
    const bytes = new Uint8Array(await this.#digest.digest);
    return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  /** Leaves the rest to whom the body belongs: see `discard`. */
  async giveUp() {
    this.#reader.releaseLock();
    await this.#hasher.abort().catch(() => {});
  }
}

/** The buffer behind these bytes, for the next read: they have been written. */
function reused({ buffer }) {
  return new Uint8Array(buffer.byteLength < READ_BYTES ? READ_BYTES : buffer);
}

async function storeStream(bucket, key, source, announced) {
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
      await writer.write(bytes);
      buffer = reused(bytes);
    }
    if (source.length !== announced) throw new Refused("incomplete");
    await writer.close();
    await put;
  } catch (error) {
    await writer.abort(error).catch(() => {});
    await put.catch(() => {});
    throw error;
  }
}

async function storeParts(bucket, key, source) {
  let upload;
  const done = [];
  try {
    for (;;) {
      const part = await readPart(source);
      const isLast = part.byteLength < PART_BYTES;
      if (upload === undefined && isLast) return void (await bucket.put(key, part));
      upload ??= await bucket.createMultipartUpload(key);
      if (part.byteLength > 0) done.push(await upload.uploadPart(done.length + 1, part));
      if (isLast) return void (await upload.complete(done));
    }
  } catch (error) {
    await upload?.abort().catch(() => {});
    throw error;
  }
}

/** The next part; shorter than a part at the end. Its buffer grows with what comes. */
async function readPart(source) {
  let part = new Uint8Array(READ_BYTES);
  let filled = 0;
  while (filled < PART_BYTES) {
    if (filled === part.byteLength) part = enlarged(part, PART_BYTES);
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

/** Most that is read of a body that nobody wants: more than the usual body that is over a limit. */
const DISCARD_BYTES = 16 * 1024 * 1024;

/** Longest that the answer waits for a client that sends such a body slowly. */
const DISCARD_MILLIS = 5_000;

/**
 * Reads what is left of a request's body and throws it away, before an answer that did without. Many
 * clients look for an answer only when they have sent everything, and the runtime closes the connection
 * under one that goes on sending (RFC 9112 section 9.6): the answer would be lost.
 */
export async function discard(request) {
  const { body } = request;
  if (body === null || body.locked) return;
  if (Number(request.headers.get("content-length")) > DISCARD_BYTES) return;
  const reader = body.getReader({ mode: "byob" });
  const timer = setTimeout(() => reader.cancel().catch(() => {}), DISCARD_MILLIS);
  try {
    let buffer = new Uint8Array(READ_BYTES);
    for (let left = DISCARD_BYTES; left > 0; ) {
      const { value, done } = await reader.read(buffer);
      if (done) return;
      left -= value.byteLength;
      buffer = reused(value);
    }
  } catch {
    // It broke off, so nobody is there to wait for.
  } finally {
    clearTimeout(timer);
  }
}
