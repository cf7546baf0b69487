// Compares version numbers, and reads them from the lock file.

import { readFileSync } from "node:fs";

import { inRoot } from "./paths.mjs";
import { Problem } from "./ui.mjs";

/** Whether version `have` ("22.12.1" or "v22.12.1") is `want` or newer. */
export function atLeast(have, want) {
  const parts = (text) => text.replace(/^v/, "").split(/[.-]/).slice(0, 3).map(Number);
  const [left, right] = [parts(have), parts(want)];
  for (const [index, number] of right.entries()) {
    const difference = (left[index] ?? 0) - number;
    if (difference !== 0) return difference > 0;
  }
  return true;
}

/** The version of a crate in a Cargo.lock, by default the Worker's. */
export function lockedVersion(crate, file = inRoot("Cargo.lock")) {
  const lock = readFileSync(file, "utf8");
  const match = lock.match(new RegExp(`^name = "${crate}"\nversion = "([^"]+)"`, "m"));
  if (!match) {
    throw new Problem(`${file} does not name ${crate}.`, `Restore it: git checkout ${file}`);
  }
  return match[1];
}

/** The oldest Rust that Cargo.toml allows. */
export function oldestRust() {
  return readFileSync(inRoot("Cargo.toml"), "utf8").match(/^rust-version = "([^"]+)"/m)?.[1] ?? "1.85";
}
