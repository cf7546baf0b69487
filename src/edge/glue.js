// The few things that are cheaper, or only possible, on the JavaScript side: a whole head in one
// crossing instead of one per field, streams that never enter wasm memory, and calls whose exceptions
// must become values. No decision is made here.

import { connect } from "cloudflare:sockets";

/** Method, URL, whether there is a body, then name and value of each field, a line each. */
export function requestHead(request) {
  let text = `${request.method}\n${request.url}\n${request.body === null ? 0 : 1}`;
  for (const [name, value] of request.headers) text += `\n${name}\n${value}`;
  return text;
}

/** Status, then name and value of each field, a line each. */
export function responseHead(response) {
  let text = `${response.status}`;
  for (const [name, value] of response.headers) text += `\n${name}\n${value}`;
  return text;
}

function unpack(packed) {
  const headers = new Headers();
  if (packed !== "") {
    const lines = packed.split("\n");
    for (let i = 0; i + 1 < lines.length; i += 2) headers.append(lines[i], lines[i + 1]);
  }
  return headers;
}

/** A response. `manual`: the body is already encoded as Content-Encoding says. */
export function respond(status, packed, body) {
  return new Response(body, { status, headers: unpack(packed), encodeBody: "manual" });
}

/** The response with other fields and, unless undefined, another body. */
export function amend(response, status, packed, body) {
  const headers = unpack(packed);
  // The body of a response goes on as it came only if the runtime may take care of its coding.
  if (body === undefined) return new Response(response.body, { status, headers });
  return new Response(body, { status, headers, encodeBody: "manual" });
}

/** Objects by name; making an id is a hash that need not be done for each request. */
const ids = new Map();

/** Resolves when everything that the object has written is durable. */
export function durable(storage) {
  return storage.sync();
}

/** Calls a shard. */
export function callShard(namespace, name, call, body) {
  let id = ids.get(name);
  if (id === undefined) ids.set(name, (id = namespace.idFromName(name)));
  // A stored redirect is an answer for the client, not for the runtime.
  const init = { method: "POST", headers: { "raincheck-call": call }, redirect: "manual" };
  if (body !== undefined) init.body = body;
  return namespace.get(id).fetch("http://shard/", init);
}

/** A shard did not answer; the Worker's entry makes the problem of it. */
class ShardUnavailable extends Error {
  name = "ShardUnavailable";

  constructor(safeToRepeat) {
    super("a shard did not answer");
    this.safeToRepeat = safeToRepeat;
  }
}

/** Calls a shard whose answer is the client's, as it is. */
export async function answerOfShard(namespace, name, call, body, safeToRepeat) {
  try {
    return await callShard(namespace, name, call, body);
  } catch (error) {
    console.warn(`${name}:`, error);
    throw new ShardUnavailable(safeToRepeat);
  }
}

/**
 * Waits until a shard tells that a job has ended, at most so long. The wait costs the shard nothing:
 * its end of the WebSocket hibernates.
 */
export async function untilEnded(namespace, name, call, millis) {
  const stub = namespace.get(namespace.idFromName(name));
  const response = await stub.fetch("http://shard/", { headers: { "raincheck-call": call, upgrade: "websocket" } });
  const socket = response.webSocket;
  if (!socket) return;
  socket.accept();
  await new Promise((resolve) => {
    const timer = setTimeout(resolve, millis);
    for (const event of ["message", "close", "error"]) {
      socket.addEventListener(event, () => {
        clearTimeout(timer);
        resolve();
      });
    }
  });
  socket.close(1000);
}

/** The shard's end: a WebSocket under a tag, which the runtime keeps while the object sleeps. */
export function watch(state, tag) {
  const [client, server] = Object.values(new WebSocketPair());
  state.acceptWebSocket(server, [tag]);
  return new Response(null, { status: 101, webSocket: client });
}

export function hasWatchers(state) {
  return state.getWebSockets().length > 0;
}

/** Tells all who wait under a tag; one that is gone already needs no word. */
export function tellWatchers(state, tag) {
  for (const socket of state.getWebSockets(tag)) {
    try {
      socket.send("ended");
      socket.close(1000);
    } catch {
      continue;
    }
  }
}

/** No answer came from the origin; the Worker's entry makes the problem of it. */
class OriginUnreachable extends Error {
  name = "OriginUnreachable";
}

/**
 * Passes a request on: `removed` and `set` are the changes to its header fields. Fields of the
 * response that end at this hop are removed; most responses have none and go back as they are.
 */
export async function passThrough(fetcher, url, request, removed, set, hopByHop, varies) {
  const headers = new Headers(request.headers);
  if (removed !== "") for (const name of removed.split("\n")) headers.delete(name);
  const lines = set.split("\n");
  for (let i = 0; i + 1 < lines.length; i += 2) headers.set(lines[i], lines[i + 1]);
  const init = { method: request.method, headers, body: request.body, redirect: "manual" };
  let response;
  try {
    response = await send(fetcher, url, init);
  } catch (error) {
    console.warn("origin:", error);
    throw new OriginUnreachable();
  }
  if (response.webSocket) return response;
  const named = response.headers.get("connection");
  const names = named === null ? hopByHop : hopByHop.concat(named.toLowerCase().split(/\s*,\s*/));
  const present = names.filter((name) => name !== "" && response.headers.has(name));
  if (present.length === 0 && !varies) return response;
  const amended = new Response(response.body, response);
  for (const name of present) amended.headers.delete(name);
  if (varies) amended.headers.append("vary", "Prefer");
  return amended;
}

/** A request of an attempt. The response's bytes are kept as they come, compressed or not. */
export function replay(fetcher, url, method, packed, body, signal) {
  const init = { method, headers: unpack(packed), redirect: "manual", signal, encodeResponseBody: "manual" };
  if (body !== undefined) init.body = body;
  return send(fetcher, url, init);
}

/** Whether somebody accepts connections there. */
export async function accepts(hostname, port) {
  const socket = connect({ hostname, port });
  // Left alone, its rejection would be reported as unhandled.
  socket.closed.catch(() => {});
  try {
    await socket.opened;
    return true;
  } catch {
    return false;
  } finally {
    socket.close().catch(() => {});
  }
}

function send(fetcher, request, init) {
  return fetcher === undefined ? fetch(request, init) : fetcher.fetch(request, init);
}

/** Reads to the end, as bytes. */
export async function readAll(source) {
  return new Uint8Array(await source.arrayBuffer());
}

/**
 * Reads a stream of at most `limit` bytes whole. Of a longer one comes back what was read, and the
 * stream with the rest; null stands for one that broke off.
 */
export async function collect(stream, limit) {
  const reader = stream.getReader({ mode: "byob" });
  let buffer = new Uint8Array(limit + 1);
  let filled = 0;
  try {
    while (filled <= limit) {
      const { value, done } = await reader.readAtLeast(limit + 1 - filled, buffer.subarray(filled));
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
 * is kept. Memory stays flat: one buffer that is used again and again, and a part where the length
 * was not announced.
 */
export async function store(bucket, key, body, announced, limit) {
  const source = new Source(body, limit);
  try {
    if (announced === undefined) await storeParts(bucket, key, source);
    else await storeStream(bucket, key, source, announced);
    return `${source.length} ${await source.hash()}`;
  } catch (error) {
    await source.cancel();
    await bucket.delete(key).catch(() => {});
    return error instanceof Refused ? error.message : "storage";
  }
}

class Refused extends Error {}

/** A body that is read once, counted and hashed as it passes. */
class Source {
  length = 0;
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
      return done ? undefined : value;
    } catch {
      throw new Refused("incomplete");
    }
  }

  async hash() {
    const bytes = new Uint8Array(await this.#digest.digest);
    return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  async cancel() {
    await this.#reader.cancel().catch(() => {});
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
  // A bucket that fails stops reading; without the race the next write would wait for ever.
  const put = bucket.put(key, readable);
  const failure = put.then(() => new Promise(() => {}));
  failure.catch(() => {});
  try {
    let buffer = new Uint8Array(READ_BYTES);
    for (let bytes; (bytes = await source.read(buffer)) !== undefined; ) {
      if (source.length > announced) throw new Refused("incomplete");
      await Promise.race([writer.write(bytes), failure]);
      buffer = reused(bytes);
    }
    if (source.length !== announced) throw new Refused("incomplete");
    await Promise.race([writer.close(), failure]);
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
      const part = await fillPart(source);
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

/** The next part; shorter than a part at the end. */
async function fillPart(source) {
  const part = new Uint8Array(PART_BYTES);
  let filled = 0;
  let buffer = new Uint8Array(READ_BYTES);
  while (filled < PART_BYTES) {
    const wanted = Math.min(READ_BYTES, PART_BYTES - filled);
    const bytes = await source.read(buffer.subarray(0, wanted));
    if (bytes === undefined) break;
    part.set(bytes, filled);
    filled += bytes.byteLength;
    buffer = reused(bytes);
  }
  return part.subarray(0, filled);
}

/** Opens a stored body, or part of it; null when there is none. */
export async function open(bucket, key, first, count) {
  const object = await bucket.get(key, count === undefined ? {} : { range: { offset: first, length: count } });
  return object === null ? null : object.body;
}

export function remove(bucket, keys) {
  return bucket.delete(keys);
}

export function enqueue(queue, text, delaySeconds) {
  return queue.send(text, { contentType: "text", delaySeconds });
}

/** Runs a statement; rows come as arrays of values. */
export function query(sql, statement, params) {
  return sql.exec(statement, ...params).raw().toArray();
}

export function execute(sql, statement, params) {
  sql.exec(statement, ...params);
}

/** Runs `body` in a transaction that is rolled back unless it returns true. */
export function atomically(storage, body) {
  storage.transactionSync(() => {
    if (!body()) throw new Error("rolled back");
  });
}
