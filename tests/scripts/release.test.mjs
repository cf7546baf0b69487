// `npm run release` in a clone, with a bundle that is not built.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { pathToFileURL } from "node:url";

import { inRoot, root } from "../../scripts/lib/paths.mjs";

const directory = mkdtempSync(join(tmpdir(), "raincheck-release-"));
after(() => rmSync(directory, { recursive: true, force: true }));
const clone = join(directory, "clone");
const inClone = (...parts) => join(clone, ...parts);

const WHO = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false"];
const git = (...args) => execFileSync("git", [...WHO, ...args], { cwd: clone, encoding: "utf8" }).trim();
for (const [kind, value] of [["NAME", "Test"], ["EMAIL", "test@example.com"]]) {
  for (const role of ["AUTHOR", "COMMITTER"]) process.env[`GIT_${role}_${kind}`] = value;
}

let planRelease;
let preview;
let release;
let start;

before(async () => {
  execFileSync("git", ["clone", "--quiet", root, clone]);
  // The scripts as they are now, committed or not.
  for (const name of ["scripts", "package.json", "package-lock.json"]) cpSync(inRoot(name), inClone(name), { recursive: true });
  const changelog = readFileSync(inClone("CHANGELOG.md"), "utf8");
  const [head] = changelog.split("\n## [Unreleased]\n");
  writeFileSync(inClone("CHANGELOG.md"), `${head}\n## [Unreleased]\n\n### Added\n\n- A thing.\n\n## [0.0.1] - 2026-01-01\n\n- Older.\n`);
  git("add", "--all");
  git("commit", "--quiet", "--message", "As it is");
  start = git("rev-parse", "HEAD");
  symlinkSync(inRoot("node_modules"), inClone("node_modules"));
  // A link is not the directory that .gitignore names.
  writeFileSync(inClone(".git", "info", "exclude"), "node_modules\n");
  ({ planRelease, preview, release } = await import(pathToFileURL(inClone("scripts", "lib", "release.mjs"))));
});

beforeEach(() => {
  git("reset", "--quiet", "--hard", start);
  git("clean", "--quiet", "-d", "--force");
  for (const tag of git("tag").split("\n").filter(Boolean)) git("tag", "--delete", tag);
});

const DATE = new Date("2026-11-24T23:00:00Z");

async function build() {
  mkdirSync(inClone("build"), { recursive: true });
  writeFileSync(inClone("build", "index.js"), "// bundle");
  writeFileSync(inClone("build", "index_bg.wasm"), "wasm");
}

test("a release is one commit with its version everywhere, a tag, a package and its checksum", async () => {
  await release(planRelease("7.8.9", DATE), build);
  assert.equal(git("log", "--format=%s", `${start}..HEAD`), "Release 7.8.9");
  assert.equal(git("rev-parse", "v7.8.9^{commit}"), git("rev-parse", "HEAD"));
  assert.equal(git("cat-file", "-t", "v7.8.9"), "tag");
  assert.equal(git("status", "--porcelain"), "");
  const changed = git("diff", "--numstat", start, "HEAD").split("\n").map((line) => line.replaceAll("\t", " "));
  assert.deepEqual(changed, ["2 0 CHANGELOG.md", "1 1 Cargo.lock", "1 1 Cargo.toml", "2 2 package-lock.json", "1 1 package.json"]);
  assert.match(readFileSync(inClone("CHANGELOG.md"), "utf8"), /## \[Unreleased\]\n\n## \[7\.8\.9\] - 2026-11-24\n\n### Added\n\n- A thing\./);

  const packages = inClone("dist", "v7.8.9");
  assert.match(execFileSync("sha256sum", ["--check", "SHA256SUMS"], { cwd: packages, encoding: "utf8" }), /raincheck-7\.8\.9\.tgz: OK/);
  const manifest = execFileSync("tar", ["-xzOf", join(packages, "raincheck-7.8.9.tgz"), "package/package.json"]);
  assert.equal(JSON.parse(manifest).version, "7.8.9");
});

test("a build that fails leaves everything as it was", async () => {
  const fails = () => Promise.reject(new Error("no"));
  await assert.rejects(release(planRelease("7.8.9", DATE), fails), /^Error: no$/);
  assert.deepEqual([git("rev-parse", "HEAD"), git("status", "--porcelain"), git("tag")], [start, "", ""]);
});

test("a preview shows the changes and the package, and writes nothing", async () => {
  await build();
  const shown = preview(planRelease("7.8.9-rc.1", DATE));
  for (const line of ['package.json: "version": "7.8.9-rc.1",', "CHANGELOG.md: ## [7.8.9-rc.1] - 2026-11-24", "  build/index_bg.wasm"]) {
    assert.ok(shown.includes(line), `${line} is not in\n${shown}`);
  }
  assert.equal(git("status", "--porcelain"), "");
});

test("a release needs a later version, committed files and an entry in the changelog", () => {
  const refused = (version, message) => assert.throws(() => planRelease(version, DATE), { name: "Error", message });
  refused("1.2", /--version is "1\.2", not a version/);
  refused("v1.2.3", /not a version/);
  refused("0.0.9", /0\.0\.9, older than the current \d+\.\d+\.\d+/);
  git("tag", "v7.8.9");
  refused("7.8.9", /The tag v7\.8\.9 already exists/);
  writeFileSync(inClone("left.txt"), "");
  refused("7.9.0", /uncommitted changes:\n\?\? left\.txt/);
  rmSync(inClone("left.txt"));
  const changelog = readFileSync(inClone("CHANGELOG.md"), "utf8");
  writeFileSync(inClone("CHANGELOG.md"), changelog.replace("### Added\n\n- A thing.\n", ""));
  git("commit", "--quiet", "--all", "--message", "Nothing to tell");
  refused("7.9.0", /nothing under Unreleased/);
});
