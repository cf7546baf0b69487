// Programs of this repository that other scripts run, built by cargo when they are not current.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

import { root } from "./paths.mjs";
import { ended } from "./run.mjs";
import { Problem, elapsed, step } from "./ui.mjs";

/** What cargo says when there is nothing to do. */
const NOTHING_TO_DO = /^\s*Finished /;
/** What it says while another cargo builds in the same directory. */
const WAITS = /^\s*Blocking /;

/**
 * Hands on what cargo says, after a step that says what for. Silent as long as nothing has to be done.
 * Returns whether something was.
 */
async function tell(title, lines) {
  let building = false;
  for await (const line of lines) {
    if (WAITS.test(line)) {
      step(`Waiting for another cargo, which builds here too, before building ${title}`);
    } else if (building || !NOTHING_TO_DO.test(line)) {
      if (!building) step(`Building ${title} (the first time about a minute)`);
      building = true;
      console.error(line);
    }
  }
  return building;
}

/** Builds what `choice` names for cargo, `title` for people, where it is not current. Returns the program's path. */
export async function buildProgram(title, choice) {
  const start = performance.now();
  const args = ["build", ...choice, "--message-format=json-render-diagnostics"];
  const child = spawn("cargo", args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  let built = "";
  child.stdout.setEncoding("utf8").on("data", (chunk) => (built += chunk));
  const [code, building] = await Promise.all([ended("cargo", child), tell(title, createInterface(child.stderr))]);
  const messages = built.split("\n").filter((line) => line.startsWith("{"));
  const program = messages.map((line) => JSON.parse(line).executable).findLast(Boolean);
  if (code !== 0 || !program) throw new Problem(`Building ${title} failed (${code}).`, "cargo says why above.");
  if (building) step(`Built ${title} in ${elapsed(start)}`);
  return program;
}
