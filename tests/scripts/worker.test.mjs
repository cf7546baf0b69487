// The Worker's entry around a Rust that panics: bundled as it is for the runtime, but with stand-ins for Rust and
// the platform.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";

import { build } from "esbuild";

import { inRoot } from "../../scripts/lib/paths.mjs";

const directory = mkdtempSync(join(tmpdir(), "raincheck-entry-"));
after(() => rmSync(directory, { recursive: true, force: true }));

const queueMicrotaskOfNode = globalThis.queueMicrotask;
after(() => {
  globalThis.queueMicrotask = queueMicrotaskOfNode;
});

/** What the generated bindings would be; every test says what they do. */
const rust = {
  instanceId: 0,
  shards: 0,
  fetch: () => Promise.resolve(new Response("passed on")),
  queue: () => Promise.resolve(),
  call: () => undefined,
};
globalThis.rustStandIn = rust;

const BINDINGS = `
const rust = globalThis.rustStandIn;
export class Pending { run() { return rust.run(); } }
export class ShardObject { constructor() { rust.shards += 1; } call(...call) { return rust.call(...call); } alarm() { return rust.alarm(); } }
export const __worker_init_state = () => ({ instanceId: rust.instanceId });
export const fetch = (...event) => rust.fetch(...event, Pending);
export const queue = (...event) => rust.queue(...event);
export const originUnreachable = () => new Response("unreachable", { status: 502 });
export const shardUnavailable = (safe) => new Response(String(safe), { status: 503 });
export const bodyMillis = () => rust.bodyMillis ?? 60_000;
export const bodyStalled = () => new Response("stalled", { status: 408 });
export const bodyIncomplete = () => new Response("incomplete", { status: 400 });
`;
const PLATFORM = "export class DurableObject { constructor(ctx, env) { Object.assign(this, { ctx, env }); } }";

async function entry() {
  const [bindings, platform, outfile] = ["bindings.mjs", "platform.mjs", "worker.mjs"].map((name) => join(directory, name));
  writeFileSync(bindings, BINDINGS);
  writeFileSync(platform, PLATFORM);
  await build({
    entryPoints: [inRoot("src", "edge", "worker.js")],
    bundle: true,
    format: "esm",
    outfile,
    logLevel: "error",
    alias: { "raincheck-bindings": bindings, "cloudflare:workers": platform },
  });
  return import(pathToFileURL(outfile));
}

const { default: worker, ShardObject } = await entry();
const request = () => new Request("http://h.example/");
const panic = () => new WebAssembly.RuntimeError("unreachable");
const call = () => new Request("http://shard/", { method: "POST", headers: { "raincheck-call": "{}" }, body: "x" });
const never = () => new Promise(() => {});
const shardOf = () => new ShardObject({}, {});

async function quietly(run) {
  const { error } = console;
  console.error = () => {};
  try {
    return await run();
  } finally {
    console.error = error;
  }
}

test("the response from Rust is returned", async () => {
  assert.equal(await (await worker.fetch(request(), {})).text(), "passed on");
});

test("a shard may respond at once or later", async () => {
  rust.call = () => new Response("now");
  assert.equal(await (await shardOf().fetch(call())).text(), "now");
  rust.call = (text, body, packed, answer) => {
    assert.deepEqual([text, body.length, packed], ["{}", 1, false]);
    setTimeout(() => answer(new Response("later")), 1);
  };
  assert.equal(await (await shardOf().fetch(call())).text(), "later");
});

test("a panic in one call fails all other calls that wait for Rust", async () => {
  rust.call = () => undefined;
  rust.fetch = (_request, _env, Pending) => new Pending();
  rust.run = never;
  const waiting = [shardOf().fetch(call()), worker.fetch(request(), {})];
  await new Promise((resolve) => setTimeout(resolve, 5));
  rust.fetch = () => {
    throw panic();
  };
  const answer = await quietly(async () => {
    const own = await worker.fetch(request(), {});
    await assert.rejects(waiting[0], WebAssembly.RuntimeError);
    assert.equal((await waiting[1]).status, 500);
    return own;
  });
  assert.equal(answer.status, 500);
  assert.equal(JSON.parse(await answer.text()).error.code, "internal_error");
});

test("a panic in Rust's executor fails all calls that wait for Rust", async () => {
  rust.call = () => undefined;
  const waiting = shardOf().fetch(call());
  await new Promise((resolve) => setTimeout(resolve, 5));
  await quietly(async () => {
    globalThis.queueMicrotask(() => {
      throw panic();
    });
    await assert.rejects(waiting, WebAssembly.RuntimeError);
  });
});

test("an exception that is not a panic fails only its own call", async () => {
  let give;
  rust.call = (_text, _body, _packed, answer) => {
    give = answer;
  };
  const waiting = shardOf().fetch(call());
  await new Promise((resolve) => setTimeout(resolve, 5));
  rust.fetch = () => Promise.reject(Object.assign(new Error("gone"), { name: "ShardUnavailable", safeToRepeat: true }));
  const refused = await worker.fetch(request(), {});
  assert.deepEqual([refused.status, await refused.text()], [503, "true"]);
  give(new Response("still there"));
  assert.equal(await (await waiting).text(), "still there");
});

test("a shard is created again in the new instance after a panic, and only then", async () => {
  rust.call = () => new Response("served");
  const shard = shardOf();
  const before = rust.shards;
  await shard.fetch(call());
  await shard.fetch(call());
  assert.equal(rust.shards, before);
  rust.instanceId += 1;
  await shard.fetch(call());
  await shard.fetch(call());
  assert.equal(rust.shards, before + 1);
});
