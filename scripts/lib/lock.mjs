// Allows one `start` at a time on a state directory: each runtime assumes that it is alone on its databases.

import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { capture } from "./run.mjs";
import { Problem, step } from "./ui.mjs";

const NAME = "start.lock";

/** How often and at what interval to check whether a killed process has ended. */
const LOOKS = 40;
const LOOK_MS = 50;
/** Never notified: waiting on it is a sleep. */
const NEVER = new Int32Array(new SharedArrayBuffer(4));

/** What `beginning` returns for a zombie: a process that has ended but was not reaped. */
const ENDED = "ended";

/** When a process started, as `ps` prints it; `undefined` if unknown. Process ids alone are reused. */
function beginning(id) {
  const said = capture("ps", ["-o", "stat=,lstart=", "-p", String(id)]) ?? "";
  const [, state, began] = /^\s*(\S+)\s+(.+)$/.exec(said) ?? [];
  return state?.startsWith("Z") ? ENDED : began;
}

function holder(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    // Deleted meanwhile, or incomplete.
    return {};
  }
}

function isAlive({ process: id, began } = {}) {
  if (!Number.isSafeInteger(id)) return false;
  try {
    process.kill(id, 0);
  } catch (error) {
    // EPERM: the process exists, but belongs to another user.
    if (error.code !== "EPERM") return false;
  }
  const now = beginning(id);
  if (now === ENDED) return false;
  return began === undefined || now === undefined || now === began;
}

function groupIsThere(id) {
  try {
    process.kill(-id, 0);
    return true;
  } catch {
    return false;
  }
}

/** Ends the children of a `start` that was killed: they would continue to use the state. */
function endChildren({ children = [] }) {
  const left = children.filter(isAlive).map((child) => child.process);
  if (left.length === 0) return;
  step(`Ending processes that a killed start left behind (${left.join(", ")})`);
  for (const id of left) process.kill(-id, "SIGKILL");
  // Wait, because their ports are needed next.
  for (let looks = 0; looks < LOOKS && left.some(groupIsThere); looks += 1) Atomics.wait(NEVER, 0, 0, LOOK_MS);
}

/** The directory inside the state in which wrangler keeps its databases. */
const DATABASES = "v3";

/**
 * Creates what is missing of the state, and lets only this user read its databases: the stored requests hold credentials.
 * The mode of an existing `directory` stays, because it may hold other files of the user.
 */
function makePrivate(directory) {
  const databases = join(directory, DATABASES);
  mkdirSync(databases, { recursive: true, mode: 0o700 });
  try {
    chmodSync(databases, 0o700);
  } catch (error) {
    // The directory belongs to another user, who decides about its mode.
    if (error.code !== "EPERM") throw error;
  }
}

const identity = (id) => ({ process: id, began: beginning(id) });

/**
 * Locks the state in `directory` for this process until it ends; `url` is the address that it will have. Throws a
 * `Problem` with `remedy` if another process has the lock. The lock of a killed process is ignored. Returns a function
 * that notes our children, each the leader of its process group. If they outlive us, the lock file stays, so that a later
 * start can end them.
 */
export function lockState(directory, url, remedy) {
  makePrivate(directory);
  const file = join(directory, NAME);
  const content = { ...identity(process.pid), url };
  for (;;) {
    try {
      writeFileSync(file, JSON.stringify(content), { flag: "wx" });
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw new Problem(`${file} cannot be written: ${error.message}`, remedy);
    }
    const other = holder(file);
    if (isAlive(other)) {
      throw new Problem(`Another Raincheck (process ${other.process}, at ${other.url}) uses the state in ${directory}.`, remedy);
    }
    endChildren(other);
    // Rename it first: if two processes find a stale lock, only one of them succeeds.
    const stale = `${file}.${process.pid}`;
    try {
      renameSync(file, stale);
      rmSync(stale);
    } catch (error) {
      if (error.code !== "ENOENT") throw error;
    }
  }
  process.on("exit", () => {
    const last = holder(file);
    if (last.process === process.pid && !(last.children ?? []).some(isAlive)) rmSync(file, { force: true });
  });
  return (children) => writeFileSync(file, JSON.stringify({ ...content, children: children.map(({ pid }) => identity(pid)) }));
}
