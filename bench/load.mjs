// Drives one URL with wrk, or with oha where wrk is missing, and returns the same figures from both.
import { execFile, execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

import { Problem } from "../scripts/lib/ui.mjs";

const run = promisify(execFile);
const OUTPUT_BYTES_MAX = 16 << 20;
const WRK_THREADS = 1; // One is enough for workerd's throughput, and leaves it the other cores.
const TIMEOUT_SECS = 20;

const TOOLS = {
  wrk: { probe: [["-v"], /wrk/], drive: driveWrk },
  oha: { probe: [["--version"], /oha/], drive: driveOha },
};

/** The first tool that is installed. If none is, throws a `Problem` that says how to install one. */
export function findTool() {
  for (const [name, { probe: [args, expected] }] of Object.entries(TOOLS)) {
    try {
      if (expected.test(execFileSync(name, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }))) return name;
    } catch (error) {
      // `wrk -v` prints its version and ends with 1.
      if (expected.test(error.stdout ?? "")) return name;
    }
  }
  throw new Problem("Neither wrk nor oha is installed: `apt install wrk`, or `cargo install --locked oha`.");
}

/**
 * Sends `job` ({ method, paths, body, contentType, headers }) over `connections` for `seconds`.
 * Fails if any response is not 2xx or any socket fails.
 */
export async function drive(tool, url, job, connections, seconds, scratch) {
  const result = await TOOLS[tool].drive(url, job, connections, seconds, scratch);
  if (result.errors > 0) throw new Error(`${result.errors} of ${result.requests} responses were errors (${result.errorText})`);
  return result;
}

/** A JSON string is also a Lua string, unless it contains an escape that only JSON has. */
const lua = (value) => JSON.stringify(value);

function wrkScript({ method = "GET", paths, body, contentType, headers = {} }) {
  const lines = [`wrk.method = ${lua(method)}`];
  for (const [name, value] of Object.entries(headers)) lines.push(`wrk.headers[${lua(name)}] = ${lua(value)}`);
  if (body) lines.push(`wrk.body = ${lua(body)}`, `wrk.headers["Content-Type"] = ${lua(contentType)}`);
  if (paths.length > 1) {
    lines.push(`local paths = { ${paths.map(lua).join(", ")} }`, "local ready, turn = {}, 0");
    lines.push("function init(args) for i, path in ipairs(paths) do ready[i] = wrk.format(nil, path) end end");
    lines.push("function request() turn = turn % #ready + 1; return ready[turn] end");
  }
  lines.push(
    "function done(summary, latency, requests)",
    "  local e = summary.errors",
    `  io.write(string.format('RESULT {"requests":%d,"micros":%d,"p50":%d,"p90":%d,"p99":%d,"max":%d,' ..`,
    `    '"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}\\n',`,
    "    summary.requests, summary.duration, latency:percentile(50), latency:percentile(90), latency:percentile(99),",
    "    latency.max, e.connect, e.read, e.write, e.status, e.timeout))",
    "end",
  );
  return `${lines.join("\n")}\n`;
}

async function driveWrk(url, job, connections, seconds, scratch) {
  const script = join(scratch, "load.lua");
  writeFileSync(script, wrkScript(job));
  const args = [`-t${WRK_THREADS}`, `-c${connections}`, `-d${seconds}s`, "--timeout", `${TIMEOUT_SECS}s`, "-s", script, url + job.paths[0]];
  const { stdout } = await run("wrk", args, { maxBuffer: OUTPUT_BYTES_MAX });
  const line = /^RESULT (.*)$/m.exec(stdout)?.[1];
  if (!line) throw new Error(`wrk printed no result:\n${stdout}`);
  const { requests, micros, p50, p90, p99, max, ...errors } = JSON.parse(line);
  const latencyMs = { p50: p50 / 1e3, p90: p90 / 1e3, p99: p99 / 1e3, max: max / 1e3 };
  return { requests, seconds: micros / 1e6, latencyMs, errors: sum(Object.values(errors)), errorText: JSON.stringify(errors) };
}

async function driveOha(url, job, connections, seconds, scratch) {
  const { method = "GET", paths, body, contentType, headers = {} } = job;
  const args = ["--no-tui", "--output-format", "json", "-z", `${seconds}s`, "-c", String(connections), "-t", `${TIMEOUT_SECS}s`, "-m", method, "--redirect", "0", "-w"];
  if (body) args.push("-d", body, "-T", contentType);
  for (const [name, value] of Object.entries(headers)) args.push("-H", `${name}: ${value}`);
  if (paths.length > 1) {
    const list = join(scratch, "urls.txt");
    writeFileSync(list, paths.map((path) => `${url}${path}\n`).join(""));
    args.push("--urls-from-file", list);
  } else {
    args.push(url + paths[0]);
  }
  const { stdout } = await run("oha", args, { maxBuffer: OUTPUT_BYTES_MAX });
  const { summary, latencyPercentiles: p, statusCodeDistribution, errorDistribution } = JSON.parse(stdout);
  const requests = sum(Object.values(statusCodeDistribution));
  const bad = Object.entries(statusCodeDistribution).filter(([status]) => !status.startsWith("2")).map(([, count]) => count);
  const latencyMs = { p50: p.p50 * 1e3, p90: p.p90 * 1e3, p99: p.p99 * 1e3, max: summary.slowest * 1e3 };
  const errorText = JSON.stringify({ ...statusCodeDistribution, ...errorDistribution });
  return { requests, seconds: summary.total, latencyMs, errors: sum(bad) + sum(Object.values(errorDistribution)), errorText };
}

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
