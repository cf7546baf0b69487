// The program of the edge tests, for the commands that run one of its tests for long.

import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";

import { modernNode, toolEnvironment } from "./node.mjs";
import { inRoot, root } from "./paths.mjs";
import { Problem, step } from "./ui.mjs";
import { wranglerScript } from "./wrangler.mjs";

/** Where the edge tests find a Node that is new enough, and wrangler. */
export function edgeEnvironment() {
  return { ...toolEnvironment(), RAINCHECK_NODE: modernNode(), RAINCHECK_WRANGLER: wranglerScript() };
}

/** Builds the program and returns the path of a copy, so that no later build gets in the way of a long run. */
export function edgeBinary() {
  step("Building the test program");
  const args = ["test", "--features", "edge-tests", "--test", "edge", "--no-run", "--message-format", "json"];
  const built = spawnSync("cargo", args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], maxBuffer: 2 ** 28 });
  const messages = built.status === 0 ? built.stdout.split("\n").filter((line) => line.startsWith("{")) : [];
  const artifact = messages.map((line) => JSON.parse(line)).find((it) => it.target?.name === "edge" && it.executable);
  if (!artifact) throw new Problem("The test program could not be built.", "See cargo's output above.");
  const copy = inRoot(".cache", `edge-${process.pid}`);
  mkdirSync(dirname(copy), { recursive: true });
  copyFileSync(artifact.executable, copy);
  process.on("exit", () => rmSync(copy, { force: true }));
  return copy;
}
