// Runs a program in a separate process group and ends the whole group when the input of this
// process ends, which it does when the test run ends in any way: it is killed (SIGKILL) or, after
// --gently, asked to end (SIGTERM) and killed later. Then removes the directory named first, unless
// this process is killed itself.
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";

/** How long a program that is asked to end may take. */
const GRACE_MS = 10_000;

const gently = process.argv[2] === "--gently";
const [directory, program, ...args] = process.argv.slice(gently ? 3 : 2);
const child = spawn(program, args, { detached: true, stdio: ["ignore", "inherit", "inherit"] });
process.stdout.on("error", () => {});
console.log(`leader: group ${child.pid}`);

function leave(status) {
  // Killed processes may still be writing.
  rmSync(directory, { recursive: true, force: true, maxRetries: 10 });
  process.exit(status);
}

child.on("exit", (code) => process.exit(code ?? 1));
process.stdin.resume();
process.stdin.on("end", () => {
  child.removeAllListeners("exit");
  if (!gently) {
    process.kill(-child.pid, "SIGKILL");
    leave(0);
  }
  child.on("exit", () => leave(0));
  process.kill(-child.pid, "SIGTERM");
  setTimeout(() => process.kill(-child.pid, "SIGKILL"), GRACE_MS).unref();
});
