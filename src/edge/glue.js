// Calls to the platform that are cheaper or only possible in JavaScript: a head crosses into WebAssembly as one string
// instead of field by field, streams stay outside, and exceptions become values. Rust decides what to call, and what
// to do with the result.

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

/** Header fields from lines of name and value. A plain object is cheapest, but cannot have a name twice. */
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

/** Creates a response. `manual`: the body is already encoded as Content-Encoding says. */
export function respond(status, packed, body) {
  return new Response(body, { status, headers: unpack(packed), encodeBody: "manual" });
}

/** The response with other fields and, if `body` is defined, another body. */
export function amend(response, packed, body) {
  if (body !== undefined) return respond(response.status, packed, body);
  // A copy of the response remembers whether its body is already encoded.
  const amended = new Response(response.body, response);
  for (const name of [...amended.headers.keys()]) amended.headers.delete(name);
  appended(amended.headers, packed.split("\n"));
  return amended;
}

/** Calls `then` once all writes of the object are durable, but not before `millis` milliseconds. */
export function afterCommit(storage, millis, then) {
  const durable = storage.sync();
  const over = millis > 0 ? Promise.all([durable, scheduler.wait(millis)]) : durable;
  const go = () => queueMicrotask(then);
  // If the commit fails, the runtime restarts the object.
  over.then(go, go);
}

const SHARD = "http://shard/";

/** The URL that asks a shard to pack its response, see `respondPacked`. */
const SHARD_PACKED = "http://shard/packed";

/** A packed response: status, name and value of each field, an empty part, the content and a dot; tabs between. */
const PACKED = "raincheck-packed";

/** Calls a shard. */
export function callShard(namespace, name, call, body) {
  return ask(namespace, name, SHARD, call, body);
}

/** Object ids by name: creating an id computes a hash. */
const ids = new Map();

function stub(namespace, name) {
  let id = ids.get(name);
  if (id === undefined) ids.set(name, (id = namespace.idFromName(name)));
  return namespace.get(id);
}

function ask(namespace, name, url, call, body) {
  // The runtime must not follow a stored redirect; it is for the client.
  const init = { method: "POST", headers: { "raincheck-call": call }, redirect: "manual" };
  if (body !== undefined) init.body = body;
  return stub(namespace, name).fetch(url, init);
}

/** A shard did not respond; the Worker's entry turns this into a problem. */
class ShardUnavailable extends Error {
  name = "ShardUnavailable";

  constructor(safeToRepeat) {
    super("a shard did not respond");
    this.safeToRepeat = safeToRepeat;
  }
}

/** Calls a shard whose response goes to the client as it is. */
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
 * A shard's short response packed into one header field. This saves both sides the conversion of each field, and a
 * stream for the content.
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
  // Cheaper than passing an object, whose names the runtime would look up again.
  for (let at = 1; at < end; at += 2) response.headers.set(parts[at], parts[at + 1]);
  return response;
}

/** Opens a WebSocket on which a shard tells when a job has ended. */
export function openWatch(namespace, name, call) {
  return stub(namespace, name).fetch(SHARD, { headers: { "raincheck-call": call, upgrade: "websocket" } });
}

/** The shard's end: a tagged WebSocket, which the runtime keeps while the object hibernates. */
export function watch(state, tag) {
  const [client, server] = Object.values(new WebSocketPair());
  state.acceptWebSocket(server, [tag]);
  return new Response(null, { status: 101, webSocket: client });
}

export function hasWatchers(state) {
  return state.getWebSockets().length > 0;
}

/** Tells all watchers with a tag. Those that are gone are skipped. */
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

/** The origin did not respond; the Worker's entry turns this into a problem. */
class OriginUnreachable extends Error {
  name = "OriginUnreachable";

  constructor(method, varies) {
    super("the origin did not respond");
    this.method = method;
    this.varies = varies;
  }
}

/** Removes the named fields (separated by commas), and sets those in lines of name and value. */
function edit(headers, removed, lines) {
  if (removed !== "") for (const name of removed.split(",")) headers.delete(name);
  for (let i = 0; i + 1 < lines.length; i += 2) headers.set(lines[i], lines[i + 1]);
}

/**
 * Passes a request on. `plan` has lines: the URL, the names of the fields to remove (separated by commas), then name
 * and value of each field to set. Responses that `untouched` describes, which are most, go back as they are; all others
 * go through `finish` in Rust.
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
    throw new OriginUnreachable(request.method, varies);
  }
  return !varies && isUntouched(response.headers, untouched) ? response : finish(response, varies);
}

/** Whether a head has none of these names, no name with this prefix, and no `Connection` but one of these. */
function isUntouched(headers, { names, prefix, connections }) {
  const connection = headers.get("connection");
  if (connection !== null && !connections.includes(connection)) return false;
  for (const name of headers.keys()) if (name.startsWith(prefix) || names.includes(name)) return false;
  return true;
}

/** The origin's response with edited fields. It keeps its WebSocket. */
export function edited(response, removed, packed) {
  const { webSocket } = response;
  const upgrade = webSocket && { status: 101, webSocket, headers: response.headers };
  const copy = new Response(upgrade ? null : response.body, upgrade ?? response);
  edit(copy.headers, removed, packed === "" ? [] : packed.split("\n"));
  return copy;
}

/** The arguments of the fetch that sends a request on. */
function onward(request, url, headers) {
  const { method, body } = request;
  // The runtime rejects GET or HEAD with an explicit body, but copies a request that has one.
  if (body !== null && (method === "GET" || method === "HEAD")) {
    return [new Request(url, request), { headers, redirect: "manual" }];
  }
  return [url, { method, headers, body, redirect: "manual" }];
}

/** Sends the request of an attempt. The response's bytes stay as they come, compressed or not. */
export function replay(fetcher, url, method, packed, body, signal) {
  const init = { method, headers: unpack(packed), redirect: "manual", signal, encodeResponseBody: "manual" };
  if (body !== undefined) init.body = body;
  return send(fetcher, url, init);
}

/** Whether the address accepts connections. */
export async function accepts(hostname, port) {
  const socket = connect({ hostname, port });
  // Otherwise its rejection would be reported as unhandled.
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

/** Sends one message; the promise settles when the queue has accepted it. */
export function sendMessage(queue, text) {
  return queue.send(text, { contentType: "text" });
}

/** Sends one message with a delay. If it is lost, the shard's alarm sends it again. */
export function enqueue(queue, delaySeconds, text) {
  queue.send(text, { contentType: "text", delaySeconds }).catch(notSent);
}

/** Sends messages together, given as lines of delay and text. */
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

/** Runs a statement, and returns each row as an array of values. */
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
