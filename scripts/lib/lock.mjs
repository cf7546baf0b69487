// One `start` at a time on a directory of state: two runtimes on the same databases would each believe to be alone.

import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { capture } from "./run.mjs";
import { Problem } from "./ui.mjs";

const NAME = "start.lock";

/** When a process began, as `ps` has it; `undefined` when there is none with that id. An id alone is used again. */
function beginning(id) {
  return capture("ps", ["-o", "lstart=", "-p", String(id)]) || undefined;
}

function holder(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    // Gone by now, or cut off while it was written.
    return {};
  }
}

function isAlive({ process: id, began }) {
  if (!Number.isSafeInteger(id)) return false;
  try {
    process.kill(id, 0);
  } catch (error) {
    // Somebody else's process is one, too.
    if (error.code !== "EPERM") return false;
  }
  const now = beginning(id);
  return began === undefined || now === undefined || now === began;
}

/**
 * Takes the state in `directory` for this process, until it ends; `url` is where it will be reached. A `Problem` with
 * `remedy` when another has it. What a process left that was killed counts for nothing.
 */
export function lockState(directory, url, remedy) {
  mkdirSync(directory, { recursive: true });
  const file = join(directory, NAME);
  const content = JSON.stringify({ process: process.pid, began: beginning(process.pid), url });
  for (;;) {
    try {
      writeFileSync(file, content, { flag: "wx" });
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw new Problem(`${file} cannot be written: ${error.message}`, remedy);
    }
    const other = holder(file);
    if (isAlive(other)) {
      throw new Problem(`Another Raincheck (process ${other.process}, at ${other.url}) uses the state in ${directory}.`, remedy);
    }
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
}
