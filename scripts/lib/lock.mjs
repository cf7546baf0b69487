// One `start` at a time on a directory of state: two runtimes on the same databases would each believe to be alone.

import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { capture } from "./run.mjs";
import { Problem, step } from "./ui.mjs";

const NAME = "start.lock";

/** How often and at what interval we look whether a killed process has gone. */
const LOOKS = 40;
const LOOK_MS = 50;
/** Nobody changes it: what waits for that sleeps. */
const NEVER = new Int32Array(new SharedArrayBuffer(4));

/** What `beginning` says of a process that has ended and whose parent has not noticed. */
const ENDED = "ended";

/** When a process began, as `ps` has it; `undefined` when it cannot be known. An id alone is used again. */
function beginning(id) {
  const said = capture("ps", ["-o", "stat=,lstart=", "-p", String(id)]) ?? "";
  const [, state, began] = /^\s*(\S+)\s+(.+)$/.exec(said) ?? [];
  return state?.startsWith("Z") ? ENDED : began;
}

function holder(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    // Gone by now, or cut off while it was written.
    return {};
  }
}

function isAlive({ process: id, began } = {}) {
  if (!Number.isSafeInteger(id)) return false;
  try {
    process.kill(id, 0);
  } catch (error) {
    // Somebody else's process is one, too.
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

/** Ends what a start has left behind that was killed itself: it would go on working on the state. */
function endChildren({ children = [] }) {
  const left = children.filter(isAlive).map((child) => child.process);
  if (left.length === 0) return;
  step(`Ending what a killed start has left behind (processes ${left.join(", ")})`);
  for (const id of left) process.kill(-id, "SIGKILL");
  // Their ports are wanted next.
  for (let looks = 0; looks < LOOKS && left.some(groupIsThere); looks += 1) Atomics.wait(NEVER, 0, 0, LOOK_MS);
}

const identity = (id) => ({ process: id, began: beginning(id) });

/**
 * Takes the state in `directory` for this process, until it ends; `url` is where it will be reached. A `Problem` with
 * `remedy` when another has it. What a process left that was killed counts for nothing. Returns a function that notes
 * our children, each the leader of its group, lest they outlive us.
 */
export function lockState(directory, url, remedy) {
  mkdirSync(directory, { recursive: true });
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
    // By another name first: of two that find it, one gets it.
    const stale = `${file}.${process.pid}`;
    try {
      renameSync(file, stale);
      rmSync(stale);
    } catch (error) {
      if (error.code !== "ENOENT") throw error;
    }
  }
  process.on("exit", () => {
    if (holder(file).process === process.pid) rmSync(file, { force: true });
  });
  return (children) => writeFileSync(file, JSON.stringify({ ...content, children: children.map(({ pid }) => identity(pid)) }));
}
