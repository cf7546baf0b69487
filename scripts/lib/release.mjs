// Prepares a release: the changed files, the package, the commit and the tag.

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";

import { inRoot, root } from "./paths.mjs";
import { capture } from "./run.mjs";
import { Problem, step } from "./ui.mjs";
import { atLeast } from "./versions.mjs";

/** A version of https://semver.org, without build metadata: npm drops that. */
const VERSION = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$/;

const CHECKSUMS = "SHA256SUMS";

function git(...args) {
  const said = capture("git", args, { errors: "inherit" });
  if (said === undefined) throw new Problem(`\`git ${args.join(" ")}\` failed.`, "See git's output above.");
  return said;
}

/** The change to each file. `pattern` must match exactly once. */
const EDITS = [
  { file: "package.json", pattern: /^( {2}"version": ")[^"]+(",)$/gm },
  { file: "package-lock.json", pattern: /^(\{\n {2}"name": "raincheck",\n {2}"version": ")[^"]+(",)$/gm },
  { file: "package-lock.json", pattern: /^( {4}"": \{\n {6}"name": "raincheck",\n {6}"version": ")[^"]+(",)$/gm },
  { file: "Cargo.toml", pattern: /^(name = "raincheck"\nversion = ")[^"]+(")$/gm },
  { file: "Cargo.lock", pattern: /^(name = "raincheck"\nversion = ")[^"]+(")$/gm },
];

function withVersion(text, { file, pattern }, version) {
  const found = text.match(pattern)?.length ?? 0;
  if (found !== 1) throw new Problem(`${file} has its version in ${found} places, not in one.`, "See scripts/lib/release.mjs.");
  return text.replace(pattern, `$1${version}$2`);
}

function dated(changelog, version, date) {
  const [before, rest] = changelog.split("\n## [Unreleased]\n");
  const [changes] = (rest ?? "").split(/^## /m);
  if (changes.trim() === "") {
    throw new Problem("CHANGELOG.md has nothing under Unreleased.", "Describe there what users must know about this version.");
  }
  return `${before}\n## [Unreleased]\n\n## [${version}] - ${date.toISOString().slice(0, 10)}\n${rest}`;
}

/** The changes for a release of `version` at `date`. Throws a `Problem` if it is not possible. */
export function planRelease(version, date) {
  const now = JSON.parse(readFileSync(inRoot("package.json"), "utf8")).version;
  if (!VERSION.test(version)) {
    throw new Problem(`--version is ${JSON.stringify(version)}, not a version.`, "Give one like 1.2.3 or 1.2.3-rc.1.");
  }
  if (!atLeast(version, now)) {
    throw new Problem(`--version is ${version}, older than the current ${now}.`, `Give a version later than ${now}.`);
  }
  const tag = `v${version}`;
  if (git("tag", "--list", tag) !== "") throw new Problem(`The tag ${tag} already exists.`, "Give a later version.");
  const changed = git("status", "--porcelain");
  if (changed !== "") {
    throw new Problem(`There are uncommitted changes:\n${changed}`, "Commit them, or stash them: git stash -u");
  }
  const files = new Map();
  const textOf = (file) => files.get(file) ?? readFileSync(inRoot(file), "utf8");
  for (const edit of EDITS) files.set(edit.file, withVersion(textOf(edit.file), edit, version));
  files.set("CHANGELOG.md", dated(textOf("CHANGELOG.md"), version, date));
  return { version, tag, files };
}

/** The new lines of each file, and the files of the package. */
export function preview({ files, tag }) {
  const changes = [...files].flatMap(([file, text]) => {
    const old = new Set(readFileSync(inRoot(file), "utf8").split("\n"));
    return text.split("\n").filter((line) => !old.has(line)).map((line) => `  ${file}: ${line.trim()}`);
  });
  const [{ files: packed }] = JSON.parse(npmPack("--dry-run"));
  const contents = packed.map(({ path, size }) => `  ${String(size).padStart(9)}  ${path}`);
  return ["Changes:", ...changes, "In the package:", ...contents, `Commit and tag: ${tag}`].join("\n");
}

/** Runs `npm pack` without scripts: the bundle has already been built. */
function npmPack(...options) {
  const said = capture("npm", ["pack", "--json", "--ignore-scripts", ...options], { errors: "inherit" });
  if (said === undefined) throw new Problem("`npm pack` failed.", "See npm's output above.");
  return said;
}

function pack(directory) {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const [{ filename }] = JSON.parse(npmPack("--pack-destination", directory));
  const hash = createHash("sha256").update(readFileSync(join(directory, filename))).digest("hex");
  // As `sha256sum --check` reads it.
  writeFileSync(join(directory, CHECKSUMS), `${hash}  ${filename}\n`);
}

/** Makes the release; `build` builds the bundle. If anything fails before the commit, the files are restored. */
export async function release({ version, tag, files }, build) {
  const names = [...files.keys()];
  const directory = inRoot("dist", tag);
  try {
    for (const [file, text] of files) writeFileSync(inRoot(file), text);
    await build();
    step("Packing");
    pack(directory);
    git("commit", "--quiet", "--message", `Release ${version}`, "--", ...names);
  } catch (error) {
    git("checkout", "--quiet", "HEAD", "--", ...names);
    throw error;
  }
  git("tag", "--annotate", tag, "--message", `Raincheck ${version}`);
  return { directory: relative(root, directory), tag };
}
