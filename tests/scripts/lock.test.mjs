// One start at a time on a directory of state.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

import { inRoot } from "../../scripts/lib/paths.mjs";

const directory = mkdtempSync(join(tmpdir(), "raincheck-lock-"));
after(() => rmSync(directory, { recursive: true }));

const URL_OF_IT = "http://127.0.0.1:8787";
const PROGRAM = `
import { lockState } from ${JSON.stringify(inRoot("scripts", "lib", "lock.mjs"))};
import { main } from ${JSON.stringify(inRoot("scripts", "lib", "ui.mjs"))};
await main(async () => {
  const noteChildren = lockState(process.argv[1], ${JSON.stringify(URL_OF_IT)}, "Take another.");
  if (process.argv[2]) noteChildren([{ pid: Number(process.argv[2]) }]);
  console.log("has it");
  process.stdin.resume().on("end", () => process.exit(0));
});
`;

/** A process that takes the state and keeps it until its input ends. */
function taker(state, ...children) {
  const child = spawn(process.execPath, ["--input-type=module", "--eval", PROGRAM, state, ...children], { stdio: ["pipe", "pipe", "pipe"] });
  child.errors = "";
  child.stderr.setEncoding("utf8").on("data", (text) => (child.errors += text));
  return child;
}

async function takes(state, ...children) {
  const child = taker(state, ...children);
  const [said] = await once(child.stdout.setEncoding("utf8"), "data");
  assert.equal(said, "has it\n");
  return child;
}

async function isRefused(state) {
  const child = taker(state);
  const [status] = await once(child, "close");
  assert.equal(status, 1);
  return child.errors;
}

async function ends(child) {
  child.stdin.end();
  await once(child, "exit");
}

test("a second start is rejected, and names the process that holds the lock, until that process ends", async () => {
  const state = join(directory, "a", "state");
  const first = await takes(state);
  const refusal = await isRefused(state);
  assert.equal(refusal, `\n\u2717 Another Raincheck (process ${first.pid}, at ${URL_OF_IT}) uses the state in ${state}.\n  Take another.\n`);
  await ends(first);
  assert.deepEqual(readdirSync(state), ["v3"]);
  await ends(await takes(state));
});

test("another directory has a lock of its own", async () => {
  const both = [await takes(join(directory, "b")), await takes(join(directory, "c"))];
  for (const child of both) await ends(child);
});

test("the lock of a killed process does not block the next start", async () => {
  const state = join(directory, "d");
  const killed = await takes(state);
  killed.kill("SIGKILL");
  await once(killed, "exit");
  assert.ok(existsSync(join(state, "start.lock")));
  await ends(await takes(state));
});

test("the children of a killed process are ended before the lock is taken", async () => {
  const state = join(directory, "g");
  await ends(await takes(state));
  const runtime = spawn(process.execPath, ["--eval", "setInterval(() => {}, 1000)"], { detached: true });
  const began = execFileSync("ps", ["-o", "lstart=", "-p", String(runtime.pid)], { encoding: "utf8" }).trim();
  const left = { process: 2 ** 22 + 1, began: "x", url: URL_OF_IT, children: [{ process: runtime.pid, began }] };
  writeFileSync(join(state, "start.lock"), JSON.stringify(left));
  const child = taker(state);
  const [, signal] = await once(runtime, "exit");
  assert.equal(signal, "SIGKILL");
  await ends(child);
});

test("a process that started after the lock was written does not hold it, even with the same id", async () => {
  const state = join(directory, "e");
  await ends(await takes(state));
  const other = { process: process.pid, began: "Thu Jan  1 00:00:00 1970", url: URL_OF_IT };
  writeFileSync(join(state, "start.lock"), JSON.stringify(other));
  const child = await takes(state);
  assert.equal(JSON.parse(readFileSync(join(state, "start.lock"), "utf8")).process, child.pid);
  await ends(child);
});

test("a truncated lock file is no lock", async () => {
  const state = join(directory, "f");
  await ends(await takes(state));
  writeFileSync(join(state, "start.lock"), '{"process":');
  await ends(await takes(state));
});

test("the lock file stays while a child runs, so that the next start ends the child", async () => {
  const state = join(directory, "h");
  const runtime = spawn(process.execPath, ["--eval", "setInterval(() => {}, 1000)"], { detached: true });
  await ends(await takes(state, String(runtime.pid)));
  assert.ok(existsSync(join(state, "start.lock")));
  const next = taker(state);
  const [, signal] = await once(runtime, "exit");
  assert.equal(signal, "SIGKILL");
  await ends(next);
});

test("only the user can read the databases, even if their directory existed with another mode", async () => {
  const state = join(directory, "i");
  const databases = join(state, "v3");
  mkdirSync(databases, { recursive: true });
  chmodSync(databases, 0o755);
  await ends(await takes(state));
  assert.equal(statSync(databases).mode & 0o777, 0o700);
  const created = join(directory, "j", "state");
  await ends(await takes(created));
  assert.equal(statSync(created).mode & 0o777, 0o700);
});
