// Starts and stops the processes of a run, and reads what they cost.
import { spawn, execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { Problem } from "../scripts/lib/ui.mjs";

const START_MS_MAX = 20_000;
const STOP_MS_MAX = 2_000;
const LOG_LINES_MAX = 40;
const NOTICE_MS = 200; // By then the end of a process has been noticed.
const CONTROL_FD = 3; // workerd reports its ports there.
const CLOCK_TICKS_PER_SEC = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const children = new Set();
process.on("exit", () => children.forEach((child) => child.kill("SIGKILL")));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(130));

/** The workerd binary of the npm package that wrangler depends on. */
export function findWorkerd(project, given) {
  if (given) return given;
  try {
    const path = createRequire(join(project, "package.json"))("workerd").default;
    if (existsSync(path)) return path;
  } catch {
    // The message below covers every way in which it can be missing.
  }
  throw new Problem("workerd is not installed: run `npm install`, or name it with --workerd FILE.");
}

function start(command, args, options) {
  const child = spawn(command, args, options);
  children.add(child);
  child.once("exit", () => children.delete(child));
  return child;
}

function firstLines(stream, enough, what, child, log) {
  return new Promise((resolve, reject) => {
    const fail = (why) => reject(new Error(`${what} ${why}\n${log.join("\n")}`));
    const timer = setTimeout(() => fail(`did not start within ${START_MS_MAX} ms`), START_MS_MAX);
    child.once("exit", (code) => setTimeout(() => fail(`ended with code ${code}`), 100));
    child.once("error", (error) => fail(String(error)));
    createInterface({ input: stream }).on("line", (line) => {
      const found = enough(JSON.parse(line));
      if (found === undefined) return;
      clearTimeout(timer);
      resolve(found);
    });
  });
}

function logOf(child) {
  const log = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", (line) => {
      log.push(line);
      if (log.length > LOG_LINES_MAX) log.shift();
    });
  }
  return log;
}

/**
 * Reserves a CPU for workerd and moves this process and its children to the others. Without this, the load tool
 * and workerd displace each other from one CPU to another, and the cost of a request varies by half from one
 * second to the next. Returns the prefix of workerd's command line, which is empty if CPUs cannot be assigned.
 */
export function shareCpus() {
  const last = cpus().length - 1;
  if (last < 1) return [];
  try {
    execFileSync("taskset", ["--all-tasks", "--cpu-list", "--pid", `0-${last - 1}`, String(process.pid)], { stdio: "ignore" });
    execFileSync("taskset", ["--cpu-list", String(last), "true"], { stdio: "ignore" });
  } catch {
    return [];
  }
  return ["taskset", "--cpu-list", String(last)];
}

/** The origin and queue sink; lives as long as the harness. */
export async function startPeer(script) {
  const child = start(process.execPath, [script], { stdio: ["pipe", "pipe", "inherit"] });
  const ports = await firstLines(child.stdout, (line) => line, "the origin process", child, []);
  return { ...ports, counts: async () => (await fetch(`http://127.0.0.1:${ports.origin}/__counts`)).json(), stop: () => stop(child) };
}

/** Runs workerd with the configuration that `write` creates in a fresh directory; its path is the last argument of `command`. */
export async function startWorkerd(command, write, sockets) {
  const directory = mkdtempSync(join(tmpdir(), "raincheck-bench-"));
  const [program, ...before] = command;
  const args = [...before, "serve", write(directory), "config", "--experimental", `--control-fd=${CONTROL_FD}`];
  let child, log, ports;
  const run = async () => {
    child = start(program, args, { stdio: ["ignore", "pipe", "pipe", "pipe"], cwd: directory });
    log = logOf(child);
    ports = {};
    const listening = ({ event, socket, port }) => {
      if (event === "listen") ports[socket] = port;
      return sockets.every((name) => name in ports) ? ports : undefined;
    };
    await firstLines(child.stdio[CONTROL_FD], listening, "workerd", child, log);
  };
  await run();
  return {
    /** Stops the process and starts another on the same storage. Between the two, calls `meanwhile` with the directory of the run. */
    restart: async (meanwhile) => {
      await stop(child);
      await meanwhile?.(directory);
      await run();
    },
    explain: async (part, error) => {
      await pause(NOTICE_MS);
      return new Error(`${part}: ${error.message}${endOf(child)}\n${log.join("\n")}`.trimEnd());
    },
    url: (socket = "http") => `http://127.0.0.1:${ports[socket]}`,
    cpuSeconds: () => cpuSeconds(child.pid),
    peakMemoryMiB: () => peakMemoryMiB(child.pid),
    stop: async () => {
      await stop(child);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function endOf(child) {
  if (child.exitCode === null && child.signalCode === null) return "";
  return ` (workerd had ended: ${child.signalCode ?? `status ${child.exitCode}`})`;
}

async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS_MAX);
  await ended;
  clearTimeout(timer);
}

/** User and system time of every thread of a process, from proc(5). */
function cpuSeconds(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The second field is a name in parentheses that may contain spaces, so count from its end.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [utime, stime] = [fields[11], fields[12]].map(Number);
  return (utime + stime) / CLOCK_TICKS_PER_SEC;
}

function peakMemoryMiB(pid) {
  const kib = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kib) / 1024;
}
