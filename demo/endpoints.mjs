// The demo origin's endpoints.

import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

import { gone, readNumber, sendBytes, sendJson } from "./http.mjs";

const LONGEST_SECONDS = 3600;
const MOST_BYTES = 4 * 1024 ** 3;
/** Larger request bodies are not echoed, only counted and hashed. */
const ECHO_BYTES = 64 * 1024;
/** How many jobs' attempts are remembered; beyond that, the oldest is forgotten. */
const MOST_JOBS = 10_000;
/** Credentials are not echoed, because results are stored. */
const SECRET_HEADERS = new Set(["authorization", "cookie", "proxy-authorization"]);

const seconds = (query, name, fallback) => readNumber(query, name, { max: LONGEST_SECONDS, fallback });

async function readBody(request) {
  const hash = createHash("sha256");
  const kept = [];
  let bytes = 0;
  for await (const chunk of request) {
    hash.update(chunk);
    bytes += chunk.length;
    if (bytes <= ECHO_BYTES) kept.push(chunk);
  }
  const text = bytes <= ECHO_BYTES ? Buffer.concat(kept).toString("utf8") : undefined;
  return { bytes, sha256: hash.digest("hex"), text };
}

async function echo(request) {
  const headers = Object.entries(request.headers).filter(([name]) => !SECRET_HEADERS.has(name));
  return {
    method: request.method,
    target: request.url,
    headers: Object.fromEntries(headers),
    body: await readBody(request),
  };
}

/** Responds after a while, with an echo of the request or with bytes. */
export async function slow(request, response, query) {
  const wait = seconds(query, "seconds", 0);
  const status = readNumber(query, "status", { min: 200, max: 599, integer: true, fallback: 200 });
  const bytes = readNumber(query, "bytes", { max: MOST_BYTES, integer: true });
  const document = await echo(request);
  await sleep(wait * 1000, undefined, { signal: gone(response) });
  if (bytes === undefined) sendJson(response, status, document);
  else await sendBytes(response, status, bytes);
}

const attempts = new Map();

/** How many attempts of this job have arrived, including this one. */
function countAttempt(job) {
  const count = (attempts.get(job) ?? 0) + 1;
  attempts.delete(job);
  attempts.set(job, count);
  if (attempts.size > MOST_JOBS) attempts.delete(attempts.keys().next().value);
  return count;
}

/** Fails at first: 503 for the first `fail` attempts of a job. */
export async function flaky(request, response, query) {
  const failures = readNumber(query, "fail", { max: 1000, integer: true, fallback: 2 });
  const document = await echo(request);
  const { headers } = request;
  const attempt = countAttempt(headers["raincheck-job"] ?? headers["idempotency-key"] ?? "");
  if (attempt <= failures) {
    sendJson(response, 503, { error: `Attempt ${attempt} fails, as requested.`, attempt, failures });
  } else {
    sendJson(response, 200, { attempt, failures, ...document });
  }
}

/** A greeting, for requests that pass straight through. */
export function hello(request, response) {
  sendJson(response, 200, { message: "Hello from the demo origin.", via: request.headers.via ?? null });
}

/** Server-sent events. */
export async function stream(request, response, query) {
  const events = readNumber(query, "events", { min: 1, max: 100_000, integer: true, fallback: 10 });
  const interval = seconds(query, "interval", 1);
  const signal = gone(response);
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  if (request.method === "HEAD") return response.end();
  for (let number = 1; number <= events; number += 1) {
    response.write(`id: ${number}\nevent: tick\ndata: {"number":${number},"of":${events}}\n\n`);
    if (number < events) await sleep(interval * 1000, undefined, { signal });
  }
  response.end();
}

/** A body of any length. */
export async function download(_request, response, query) {
  await sendBytes(response, 200, readNumber(query, "bytes", { max: MOST_BYTES, integer: true, fallback: 1024 ** 2 }));
}
