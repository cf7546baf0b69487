// Long-running programs that must end with this process. Each leads its own process group, so
// that its children (for wrangler: workerd and esbuild) are stopped with it.

import { spawn } from "node:child_process";
import { once } from "node:events";

import { project } from "./paths.mjs";
import { Problem } from "./ui.mjs";

/** How long a group may take to end after SIGTERM before it is killed. */
const GRACE_MS = 3000;
/** How often to check whether the parent process still exists. */
const PARENT_CHECK_MS = 1000;

const running = new Set();
let stopping = false;

function signalGroup(child, signal) {
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    if (error.code !== "ESRCH" && error.code !== "EPERM") throw error;
  }
}

async function stopGroup(child) {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = once(child, "exit");
    signalGroup(child, "SIGTERM");
    const timer = setTimeout(() => signalGroup(child, "SIGKILL"), GRACE_MS);
    await ended;
    clearTimeout(timer);
  }
  // The leader has ended; kill whatever it left behind.
  signalGroup(child, "SIGKILL");
}

/** Ends every child with its process group. */
export async function stopAll() {
  stopping = true;
  await Promise.all([...running].map(stopGroup));
  running.clear();
}

async function leave(status) {
  if (stopping) return;
  await stopAll();
  process.exit(status);
}

/** Stops everything after an error that nothing caught, so that no child outlives this process. */
async function crash(error) {
  console.error(error);
  try {
    await stopAll();
  } finally {
    process.exit(1);
  }
}

/** npm forwards each Ctrl-C that the terminal has already sent. A second SIGINT within this time is such a duplicate. */
const SAME_WITHIN_MS = 400;

/** Ends the wait that the first Ctrl-C began. */
let hurryUp;

/** The SIGINT handler: the first Ctrl-C waits for `beforeLeaving`; a further one ends the wait. */
function gently(beforeLeaving) {
  let first;
  return async () => {
    if (hurryUp) return performance.now() - first > SAME_WITHIN_MS ? hurryUp() : undefined;
    first = performance.now();
    const hurry = new Promise((resolve) => (hurryUp = resolve));
    await beforeLeaving(hurry);
    return leave(0);
  };
}

/**
 * Stops everything on a signal, after an uncaught error, or when the parent process has ended. Ctrl-C first waits for
 * `beforeLeaving(hurry)`; `hurry` is a promise that resolves on a second Ctrl-C.
 */
export function stopOnSignals(beforeLeaving) {
  // Ctrl-C is the normal way to stop, not a failure.
  process.on("SIGINT", gently(beforeLeaving));
  process.on("SIGTERM", () => leave(143));
  process.on("SIGHUP", () => leave(129));
  process.on("uncaughtException", crash);
  process.on("unhandledRejection", crash);
  const parent = process.ppid;
  const leaveWithParent = () => {
    // After Ctrl-C the parent may end at once, while this process still waits.
    if (process.ppid === parent || hurryUp || stopping) return;
    console.error("\n✗ The program that started this one, such as npm, has ended. So this one ends, too.");
    leave(1);
  };
  setInterval(leaveWithParent, PARENT_CHECK_MS).unref();
}

/**
 * Starts a program. Its output is held back until `child.show(isHidden)`; after that, only hidden lines are. If
 * the program ends before it is stopped, the held output is printed and `child.failed` rejects with a `Problem`.
 */
export function startChild(name, command, args, { env = process.env } = {}) {
  const child = spawn(command, args, { cwd: project, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  running.add(child);

  let kept = [];
  let isHidden = () => false;
  const take = (target) => (chunk) => {
    if (stopping) return;
    if (kept) kept.push([target, chunk]);
    else target.write(chunk.split(/^/m).filter((line) => !isHidden(line)).join(""));
  };
  child.stdout.setEncoding("utf8").on("data", take(process.stdout));
  child.stderr.setEncoding("utf8").on("data", take(process.stderr));

  child.printKept = () => {
    for (const [target, chunk] of kept ?? []) target.write(chunk);
    kept = undefined;
  };
  child.show = (hidden = () => false) => {
    kept = undefined;
    isHidden = hidden;
  };
  child.failed = new Promise((_, reject) => {
    const fail = (why) => {
      if (stopping) return;
      child.printKept();
      reject(new Problem(`The ${name} ${why}.`, "See its output above."));
    };
    child.on("error", (error) => fail(`could not start: ${error.message}`));
    child.on("close", (code, signal) => fail(`ended by itself (${code ?? signal})`));
  });
  // Without this, a rejection that nobody awaits would end the process.
  child.failed.catch(() => {});
  return child;
}
