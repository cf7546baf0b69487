// Runs a program in a process group of its own and kills the whole group (SIGKILL) when the input
// of this process ends, which it does when the test run ends in any way. Then removes the directory
// named first, unless this process is killed itself.
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";

const [directory, program, ...args] = process.argv.slice(2);
const child = spawn(program, args, { detached: true, stdio: ["ignore", "inherit", "inherit"] });
process.stdout.on("error", () => {});
console.log(`leader: group ${child.pid}`);
child.on("exit", () => process.exit(1));
process.stdin.resume();
process.stdin.on("end", () => {
  process.kill(-child.pid, "SIGKILL");
  // The killed may still be writing.
  rmSync(directory, { recursive: true, force: true, maxRetries: 10 });
  process.exit(0);
});
