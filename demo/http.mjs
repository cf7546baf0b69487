// HTTP helpers for the endpoints of the demo origin.

import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

/** The request is invalid; the response is a 400. */
export class BadRequest extends Error {}

/** Reads a number from the query; `fallback` if it is absent. */
export function readNumber(query, name, { min = 0, max, integer = false, fallback }) {
  const text = query.get(name);
  if (text === null) return fallback;
  const number = Number(text);
  const valid = /^\d+(\.\d+)?$/.test(text) && number >= min && number <= max && (!integer || Number.isInteger(number));
  if (!valid) {
    const kind = integer ? "an integer" : "a number";
    throw new BadRequest(`${name} is ${JSON.stringify(text)}; it must be ${kind} from ${min} to ${max}.`);
  }
  return number;
}

/** Sends a JSON document. */
export function sendJson(response, status, document) {
  const body = `${JSON.stringify(document, null, 2)}\n`;
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
  response.end(body);
}

const BLOCK = Buffer.alloc(64 * 1024, "All work and no play makes a dull origin. ");

function* blocks(bytes) {
  for (let left = bytes; left > 0; left -= BLOCK.length) yield BLOCK.subarray(0, Math.min(left, BLOCK.length));
}

/** Sends that many bytes at the pace of the client. */
export async function sendBytes(response, status, bytes) {
  response.writeHead(status, { "content-type": "application/octet-stream", "content-length": bytes });
  await pipeline(Readable.from(blocks(bytes)), response);
}

/** A signal that aborts when the client has disconnected. */
export function gone(response) {
  const controller = new AbortController();
  response.once("close", () => controller.abort());
  return controller.signal;
}

/** Wraps a handler: errors become responses, and every request is logged. */
export function answer(handler) {
  return async (request, response) => {
    const start = performance.now();
    response.once("close", () => {
      const seconds = ((performance.now() - start) / 1000).toFixed(1);
      const outcome = response.writableFinished ? response.statusCode : "client gone";
      const { "raincheck-attempt": attempt } = request.headers;
      const note = attempt ? ` (attempt ${attempt})` : "";
      console.log(`demo origin: ${request.method} ${request.url} -> ${outcome} in ${seconds} s${note}`);
    });
    try {
      await handler(request, response);
    } catch (error) {
      if (error instanceof BadRequest) sendJson(response, 400, { error: error.message });
      // Anything else is a disconnected client or a bug. The response ends in both cases.
      else if (!response.destroyed) response.destroy(error);
    }
  };
}
