// Long-running programs that must not outlive us. Each is the leader of a process
// group of its own, so that what it starts (wrangler: workerd and esbuild) goes with it.

import { spawn } from "node:child_process";
import { once } from "node:events";

import { project } from "./paths.mjs";
import { Problem } from "./ui.mjs";

/** How long a group may take to end by itself before it is killed. */
const GRACE_MS = 3000;
/** How often we look whether whoever started us is still there. */
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
  // The leader is gone; so is now whatever it left behind.
  signalGroup(child, "SIGKILL");
}

/** Ends every child and all that they started. */
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

/** npm hands us each Ctrl-C again that the terminal has sent to us: what comes so soon after the first is the same. */
const SAME_WITHIN_MS = 400;

/** Ends the wait that the first Ctrl-C began. */
let hurryUp;

/** What the first Ctrl-C does before it leaves, and each further one to end that. */
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
 * Stops everything when we are told to stop, or when whoever started us has gone. On Ctrl-C `beforeLeaving(hurry)` is
 * waited for; `hurry` is a promise for a second one.
 */
export function stopOnSignals(beforeLeaving) {
  // Ctrl-C is how one leaves, not a failure.
  process.on("SIGINT", gently(beforeLeaving));
  process.on("SIGTERM", () => leave(143));
  process.on("SIGHUP", () => leave(129));
  const parent = process.ppid;
  // On Ctrl-C whoever started us may end at once, while we take our time.
  setInterval(() => process.ppid !== parent && !hurryUp && leave(1), PARENT_CHECK_MS).unref();
}

/**
 * Starts a program. Until `child.show(isHidden)` its output is kept back, and from then on the lines
 * that are hidden; when it ends before we stop it, what was kept is printed and we end with a `Problem`.
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
      reject(new Problem(`The ${name} ${why}.`, "What it said stands above."));
    };
    child.on("error", (error) => fail(`could not start: ${error.message}`));
    child.on("close", (code, signal) => fail(`ended by itself (${code ?? signal})`));
  });
  // Whoever waits for it sees the reason; an unwaited one must not end the process by itself.
  child.failed.catch(() => {});
  return child;
}
