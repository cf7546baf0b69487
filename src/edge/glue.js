// Calls to the platform that are cheaper or only possible in JavaScript: a head crosses into WebAssembly as one string
// instead of field by field, streams stay outside of it, and exceptions become values. What to call, and what to do
// with the answer, Rust decides.

import { connect } from "cloudflare:sockets";

import { within } from "./bodies.js";

/** Method, URL, whether there is a body, then name and value of each field, a line each. */
export function requestHead(request) {
  let text = `${request.method}\n${request.url}\n${request.body === null ? 0 : 1}`;
  request.headers.forEach((value, name) => (text += `\n${name}\n${value}`));
  return text;
}

/** Status, then name and value of each field, a line each. */
export function responseHead(response) {
  let text = `${response.status}`;
  response.headers.forEach((value, name) => (text += `\n${name}\n${value}`));
  return text;
}

/** Header fields from lines of name and value. An object is cheapest to hand over, but has no name twice. */
function unpack(packed) {
  if (packed === "") return {};
  const lines = packed.split("\n");
  const fields = {};
  for (let i = 0; i + 1 < lines.length; i += 2) {
    if (lines[i] in fields) return appended(new Headers(), lines);
    fields[lines[i]] = lines[i + 1];
  }
  return fields;
}

function appended(headers, lines) {
  for (let i = 0; i + 1 < lines.length; i += 2) headers.append(lines[i], lines[i + 1]);
  return headers;
}

/** A response. `manual`: the body is already encoded as Content-Encoding says. */
export function respond(status, packed, body) {
  return new Response(body, { status, headers: unpack(packed), encodeBody: "manual" });
}

/** The response with other fields and, unless undefined, another body. */
export function amend(response, packed, body) {
  if (body !== undefined) return respond(response.status, packed, body);
  // Made of the response itself, it also keeps whether its body is already encoded.
  const amended = new Response(response.body, response);
  for (const name of [...amended.headers.keys()]) amended.headers.delete(name);
  appended(amended.headers, packed.split("\n"));
  return amended;
}

/** Calls `then` when everything that the object has written is durable, and not before so many milliseconds. */
export function afterCommit(storage, millis, then) {
  const durable = storage.sync();
  const over = millis > 0 ? Promise.all([durable, scheduler.wait(millis)]) : durable;
  const go = () => queueMicrotask(then);
  // Where the commit failed, the runtime starts the object anew.
  over.then(go, go);
}

const SHARD = "http://shard/";

/** Asks a shard to pack its answer, see `respondPacked`. */
const SHARD_PACKED = "http://shard/packed";

/** A packed answer: status, then name and value of each field, then nothing, the content and a dot; tabs between. */
const PACKED = "raincheck-packed";

/** Calls a shard. */
export function callShard(namespace, name, call, body) {
  return ask(namespace, name, SHARD, call, body);
}

/** Objects by name; making an id is a hash that need not be done for each request. */
const ids = new Map();

function stub(namespace, name) {
  let id = ids.get(name);
  if (id === undefined) ids.set(name, (id = namespace.idFromName(name)));
  return namespace.get(id);
}

function ask(namespace, name, url, call, body) {
  // A stored redirect is an answer for the client, not for the runtime.
  const init = { method: "POST", headers: { "raincheck-call": call }, redirect: "manual" };
  if (body !== undefined) init.body = body;
  return stub(namespace, name).fetch(url, init);
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
export async function answerOfShard(namespace, name, call, body, safeToRepeat, longestMillis) {
  let answer;
  try {
    answer = await within(ask(namespace, name, SHARD_PACKED, call, body), longestMillis, "no answer");
  } catch (error) {
    console.warn(`${name}:`, error);
    throw new ShardUnavailable(safeToRepeat);
  }
  const packed = answer.headers.get(PACKED);
  return packed === null ? answer : unpackedResponse(packed);
}

/**
 * A short answer of a shard, in one header field: neither side then makes fields that the other takes
 * apart again, nor a stream of the content.
 */
export function respondPacked(packed) {
  return new Response(null, { headers: { [PACKED]: packed } });
}

function unpackedResponse(packed) {
  const parts = packed.split("\t");
  let end = 1;
  while (end < parts.length && parts[end] !== "") end += 2;
  const content = parts[end + 1];
  const response = new Response(content === "" ? null : content, { status: Number(parts[0]) });
  // Cheaper than an object of them, whose names the runtime has to look up again.
  for (let at = 1; at < end; at += 2) response.headers.set(parts[at], parts[at + 1]);
  return response;
}

/** Asks a shard for a WebSocket that tells when a job has ended. */
export function openWatch(namespace, name, call) {
  return stub(namespace, name).fetch(SHARD, { headers: { "raincheck-call": call, upgrade: "websocket" } });
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

  constructor(varies) {
    super("the origin did not answer");
    this.varies = varies;
  }
}

/** Lets the named fields go, with commas between the names, and sets those in lines of name and value. */
function edit(headers, removed, lines) {
  if (removed !== "") for (const name of removed.split(",")) headers.delete(name);
  for (let i = 0; i + 1 < lines.length; i += 2) headers.set(lines[i], lines[i + 1]);
}

/**
 * Passes a request on. `plan` is the URL, the names of its header fields that do not go on, with commas between them,
 * then name and value of each that is set, a line each. What becomes of the response Rust decides, in `finish`; it is
 * not asked about those that `untouched` describes, which are most, and which go back as they are.
 */
export async function passThrough(fetcher, request, plan, varies, untouched, finish) {
  const [url, removed, ...lines] = plan.split("\n");
  const headers = new Headers(request.headers);
  edit(headers, removed, lines);
  let response;
  try {
    response = await send(fetcher, ...onward(request, url, headers));
  } catch (error) {
    console.warn("origin:", error);
    throw new OriginUnreachable(varies);
  }
  return !varies && isUntouched(response.headers, untouched) ? response : finish(response, varies);
}

/** Whether a head has none of these names, no name that begins so, and no `Connection` but these. */
function isUntouched(headers, { names, prefix, connections }) {
  const connection = headers.get("connection");
  if (connection !== null && !connections.includes(connection)) return false;
  for (const name of headers.keys()) if (name.startsWith(prefix) || names.includes(name)) return false;
  return true;
}

/** A response of the origin with other fields. A WebSocket goes along. */
export function edited(response, removed, packed) {
  const { webSocket } = response;
  const upgrade = webSocket && { status: 101, webSocket, headers: response.headers };
  const copy = new Response(upgrade ? null : response.body, upgrade ?? response);
  edit(copy.headers, removed, packed === "" ? [] : packed.split("\n"));
  return copy;
}

/** Where a request goes, and how. */
function onward(request, url, headers) {
  const { method, body } = request;
  // Said to be of GET or HEAD, a body is refused; copied with its request it is not.
  if (body !== null && (method === "GET" || method === "HEAD")) {
    return [new Request(url, request), { headers, redirect: "manual" }];
  }
  return [url, { method, headers, body, redirect: "manual" }];
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

/** Sends one message, and tells whether the queue has it. */
export function sendMessage(queue, text) {
  return queue.send(text, { contentType: "text" });
}

/** Sends one message, in so many seconds at the earliest. If it is lost, the shard's alarm sends it again. */
export function enqueue(queue, delaySeconds, text) {
  queue.send(text, { contentType: "text", delaySeconds }).catch(notSent);
}

/** Sends messages together, of each the delay and the text in a line. */
export function enqueueAll(queue, packed) {
  const lines = packed.split("\n");
  const messages = [];
  for (let i = 0; i + 1 < lines.length; i += 2) {
    messages.push({ body: lines[i + 1], contentType: "text", delaySeconds: Number(lines[i]) });
  }
  queue.sendBatch(messages).catch(notSent);
}

function notSent(error) {
  console.warn("a message could not be sent yet:", error);
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
