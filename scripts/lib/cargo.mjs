// Programs of this repository that other scripts run; cargo builds them if they are out of date.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

import { root } from "./paths.mjs";
import { ended } from "./run.mjs";
import { Problem, elapsed, step } from "./ui.mjs";

/** What cargo prints if there is nothing to do. */
const NOTHING_TO_DO = /^\s*Finished /;
/** What cargo prints while another cargo builds in the same directory. */
const WAITS = /^\s*Blocking /;

/**
 * Prints cargo's output, after a step that names the program. Prints nothing if there is nothing to build.
 * Returns whether something was built.
 */
async function tell(title, lines) {
  let building = false;
  for await (const line of lines) {
    if (WAITS.test(line)) {
      step(`Waiting for another cargo in this directory before building ${title}`);
    } else if (building || !NOTHING_TO_DO.test(line)) {
      if (!building) step(`Building ${title} (about a minute the first time)`);
      building = true;
      console.error(line);
    }
  }
  return building;
}

/** Builds the program that cargo's arguments `choice` select, if it is out of date. Returns its path. `title` is its name for people. */
export async function buildProgram(title, choice) {
  const start = performance.now();
  const args = ["build", ...choice, "--message-format=json-render-diagnostics"];
  const child = spawn("cargo", args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  let built = "";
  child.stdout.setEncoding("utf8").on("data", (chunk) => (built += chunk));
  const [code, building] = await Promise.all([ended("cargo", child), tell(title, createInterface(child.stderr))]);
  const messages = built.split("\n").filter((line) => line.startsWith("{"));
  const program = messages.map((line) => JSON.parse(line).executable).findLast(Boolean);
  if (code !== 0 || !program) throw new Problem(`Building ${title} failed (${code}).`, "See cargo's output above.");
  if (building) step(`Built ${title} in ${elapsed(start)}`);
  return program;
}
