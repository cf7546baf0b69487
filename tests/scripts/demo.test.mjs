import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";

import { WebSocket } from "ws";

import { inRoot } from "../../scripts/lib/paths.mjs";

let demo;
let base;

before(async () => {
  demo = spawn(process.execPath, [inRoot("demo", "origin.mjs"), "--port", "0"], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await once(createInterface(demo.stdout), "line");
  base = line.match(/http:\S+/)[0];
});

after(() => demo.kill());

const post = (target, init = {}) => fetch(`${base}${target}`, { method: "POST", ...init });

test("a report echoes the request, but no credentials", async () => {
  const response = await post("/reports?status=201", { body: "{}", headers: { authorization: "x", "x-trace": "t" } });
  assert.equal(response.status, 201);
  const { method, target, headers, body } = await response.json();
  assert.deepEqual({ method, target, text: body.text }, { method: "POST", target: "/reports?status=201", text: "{}" });
  assert.equal(headers["x-trace"], "t");
  assert.ok(!("authorization" in headers));
});

test("a report has exactly the requested number of bytes", async () => {
  const response = await post("/reports?bytes=200001");
  assert.equal(response.headers.get("content-length"), "200001");
  assert.equal((await response.arrayBuffer()).byteLength, 200_001);
});

test("a flaky endpoint fails each job the requested number of times, then succeeds", async () => {
  for (const job of ["one", "two"]) {
    const headers = { "raincheck-job": job };
    const statuses = [];
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      statuses.push((await post("/flaky?fail=2", { headers })).status);
    }
    assert.deepEqual(statuses, [503, 503, 200]);
  }
});

test("invalid or out-of-range numbers get 400", async () => {
  for (const query of ["seconds=soon", "seconds=-1", "seconds=99999", "status=200.5", "status=99", "bytes=1e3"]) {
    const response = await post(`/reports?${query}`);
    assert.equal(response.status, 400, query);
    assert.match((await response.json()).error, /must be/);
  }
});

test("unknown paths and methods get 404 and 405", async () => {
  assert.equal((await post("/nowhere")).status, 404);
  const response = await fetch(`${base}/reports`);
  assert.deepEqual([response.status, response.headers.get("allow")], [405, "POST"]);
});

test("a stream sends its events one by one", async () => {
  const response = await fetch(`${base}/stream?events=3&interval=0`);
  assert.equal(response.headers.get("content-type"), "text/event-stream");
  assert.equal((await response.text()).match(/^event: tick$/gm).length, 3);
});

test("a WebSocket gets back what it sends, text and bytes", async () => {
  const socket = new WebSocket(`${base.replace("http", "ws")}/echo`);
  await once(socket, "open");
  for (const [message, binary] of [["hello", false], [Buffer.from([0, 255]), true]]) {
    socket.send(message);
    const [data, isBinary] = await once(socket, "message");
    assert.deepEqual([data, isBinary], [Buffer.from(message), binary]);
  }
  socket.close();
});

test("it uses any free port when its own is in use, if the caller allows that", async () => {
  const { port } = new URL(base);
  const other = spawn(process.execPath, [inRoot("demo", "origin.mjs"), "--port", port, "--or-any-port"], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await once(createInterface(other.stdout), "line");
  assert.match(line, /^demo origin: http:\/\/127\.0\.0\.1:\d+$/);
  assert.ok(!line.endsWith(`:${port}`));
  other.kill();
});
