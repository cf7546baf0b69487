// Checks what must be installed: Node with npm and, to build the Worker, Rust with a linker.
// Everything else is fetched from the package registries.

import { existsSync } from "node:fs";

import { isClone } from "./paths.mjs";
import { capture, run } from "./run.mjs";
import { Problem, step } from "./ui.mjs";
import { atLeast, oldestRust } from "./versions.mjs";

const OLDEST_NODE = "20.0.0";
/** The compilation target. */
export const TARGET = "wasm32-unknown-unknown";

function checkPlatform() {
  if (process.platform === "win32") {
    throw new Problem("Windows itself is not supported.", "Use the Windows Subsystem for Linux.");
  }
}

function checkNode() {
  if (!atLeast(process.version, OLDEST_NODE)) {
    throw new Problem(
      `Node ${process.version} is too old; 20 or newer is needed.`,
      "Install a current Node from https://nodejs.org and run this again.",
    );
  }
}

function checkRust() {
  // If the toolchain of rust-toolchain.toml is missing, rustup installs it now. That takes about a minute, and it says so.
  if (capture("cargo", ["--version"], { errors: "inherit" }) === undefined) {
    throw new Problem(
      "Rust is not installed: `cargo --version` does not run.",
      "Install stable Rust from https://rustup.rs, open a new shell and run this again.",
    );
  }
  const version = capture("rustc", ["--version"])?.split(" ")[1];
  if (version === undefined || !atLeast(version, oldestRust())) {
    throw new Problem(
      `Rust ${version ?? "(unknown)"} is too old; ${oldestRust()} or newer is needed.`,
      "Run: rustup update stable",
    );
  }
  if (capture("cc", ["--version"]) === undefined) {
    throw new Problem(
      "There is no C compiler `cc`, which Rust needs for linking.",
      process.platform === "darwin"
        ? "Run: xcode-select --install"
        : "Install one, on Debian or Ubuntu: sudo apt-get install build-essential",
    );
  }
}

async function checkTarget() {
  const directory = capture("rustc", ["--print", "target-libdir", "--target", TARGET]);
  if (directory !== undefined && existsSync(directory)) return;
  if (capture("rustup", ["--version"]) === undefined) {
    throw new Problem(
      `Rust cannot compile for ${TARGET}, and there is no rustup to add it.`,
      "Install stable Rust from https://rustup.rs, open a new shell and run this again.",
    );
  }
  step(`Adding the Rust target ${TARGET}`);
  await run("rustup", ["target", "add", TARGET], {
    remedy: "rustup needs access to https://static.rust-lang.org; see its output above.",
  });
}

/** Checks the prerequisites. Adds the wasm target if only that is missing. */
export async function checkPrerequisites() {
  checkPlatform();
  checkNode();
  if (!isClone) return;
  checkRust();
  await checkTarget();
}
