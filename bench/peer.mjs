// The process beside the runtime: an origin that responds immediately, and a queue sink that accepts every message
// and discards it. It is not measured. Prints its ports as one line of JSON when it listens.
import http from "node:http";

const KEEP_ALIVE_MS = 120_000; // Longer than any run, so that no pooled connection is closed during a request.
const counts = { attempts: 0, sinkCalls: 0 };
const jobs = new Set(); // By the job's name, which every attempt sends.

function listen(handle) {
  const server = http.createServer((request, response) => {
    request.resume();
    request.on("end", () => handle(request, response));
  });
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.requestTimeout = 0;
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server.address().port)));
}

function answer(response, text) {
  response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(text) });
  response.end(text);
}

const REPORT = JSON.stringify({ report: "ready" });
const TAKEN = JSON.stringify({ metadata: { metrics: { backlogCount: 0, backlogBytes: 0, oldestMessageTimestamp: 0 } } });

const origin = await listen((request, response) => {
  if (request.url === "/__counts") return answer(response, JSON.stringify({ ...counts, jobs: jobs.size }));
  counts.attempts += 1;
  if (request.method === "POST") jobs.add(request.headers["raincheck-job"] ?? `attempt-${counts.attempts}`);
  return answer(response, REPORT);
});
const sink = await listen((_request, response) => {
  counts.sinkCalls += 1;
  return answer(response, TAKEN);
});

console.log(JSON.stringify({ origin, sink }));
process.stdin.resume().on("end", () => process.exit(0)); // The harness is gone.
