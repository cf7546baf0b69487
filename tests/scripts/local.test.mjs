// The configuration that `start` gives to the local runtime.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, lstatSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, test } from "node:test";

import { LocalRun } from "../../scripts/lib/local.mjs";
import { BUNDLE, inRoot, root } from "../../scripts/lib/paths.mjs";
import { GITIGNORE, wranglerToml } from "../../scripts/lib/template.mjs";
import { Problem } from "../../scripts/lib/ui.mjs";

const directory = mkdtempSync(join(tmpdir(), "raincheck-local-"));
after(() => rmSync(directory, { recursive: true }));

const DEMO = "http://127.0.0.1:8788";
const STARTED_ON = "http://127.0.0.1:40000";
const file = join(directory, "wrangler.toml");
let demos;

beforeEach(() => {
  demos = 0;
});

function run({ text, environment = "", ...options }) {
  writeFileSync(file, text);
  const demo = { address: DEMO, start: async () => ((demos += 1), STARTED_ON) };
  return new LocalRun({ options: { file, environment, port: 8787, ...options }, directory: join(directory, "local"), demo, secret: "/secret" });
}

const written = (local) => JSON.parse(readFileSync(local.configuration, "utf8"));

test("the demo is used if the file names it, or no origin", async () => {
  for (const text of [wranglerToml(), wranglerToml().replace(/^origin = .*\n/m, "")]) {
    const local = run({ text });
    assert.deepEqual(await local.write(), { mount: "/jobs", origin: STARTED_ON, isDemo: true });
    assert.equal(written(local).vars.RAINCHECK.origin, STARTED_ON);
  }
  assert.equal(demos, 2);
});

test("the file's own origin is used, and --origin instead of it", async () => {
  const text = wranglerToml("https://api.example.com");
  assert.equal((await run({ text }).write()).origin, "https://api.example.com");
  const other = await run({ text, origin: "https://other.example" }).write();
  assert.deepEqual([other.origin, other.isDemo], ["https://other.example", false]);
  assert.equal(demos, 0);
});

test("an origin in the file that is Raincheck itself is rejected", async () => {
  const local = run({ text: wranglerToml("http://localhost:8787/v1") });
  await assert.rejects(local.write(), /The origin in wrangler\.toml is http:\/\/localhost:8787\/v1, where Raincheck itself/);
});

test("an environment has its own variables, and an unknown environment is rejected", async () => {
  const own = wranglerToml("https://api.example.com").split("\n# The records")[0].split("[vars.RAINCHECK]\n")[1];
  const bindings = wranglerToml("https://api.example.com").split("\n# The records")[1].replace(/\[\[migrations\]\][^[]*/, "").replace(/\[observability\][^]*/, "");
  const staging = own.replace("https://api", "https://staging").replaceAll("[[vars.", "[[env.staging.vars.");
  const text = `${wranglerToml("https://api.example.com")}\n[env.staging.vars.RAINCHECK]\n${staging}\n#${bindings.replaceAll("[[", "[[env.staging.")}`;
  const local = run({ text, environment: "staging" });
  assert.equal((await local.write()).origin, "https://staging.example.com");
  assert.equal(written(local).env.staging.vars.LOCAL_CONSUMER, "detached");
  await assert.rejects(run({ text, environment: "stage" }).write(), Problem);
});

test("the Worker is the built one, unless the file names another", async () => {
  const local = run({ text: wranglerToml() });
  await local.write();
  assert.equal(written(local).main, BUNDLE.local);
  assert.equal(written(local).build.cwd, root);
  const own = join(directory, "own.js");
  writeFileSync(own, "");
  const other = run({ text: wranglerToml().replace(/^main = .*/m, `main = "own.js"`) });
  await other.write();
  assert.equal(written(other).main, own);
  const repository = run({ text: readFileSync(inRoot("wrangler.toml"), "utf8").replace('"build/index.js"', JSON.stringify(BUNDLE.worker)) });
  await repository.write();
  assert.equal(written(repository).main, BUNDLE.local);
});

test("secrets of local runs are found beside the configuration, without a copy of them", async () => {
  const secrets = join(directory, ".dev.vars");
  const link = join(directory, "local", ".dev.vars");
  writeFileSync(secrets, 'TOKEN = "x"\n');
  await run({ text: wranglerToml() }).write();
  assert.ok(lstatSync(link).isSymbolicLink());
  assert.equal(readFileSync(link, "utf8"), 'TOKEN = "x"\n');
  rmSync(secrets);
  await run({ text: wranglerToml() }).write();
  assert.ok(!existsSync(link));
});

test("git ignores the secrets of local runs, in a clone and in a new gateway", () => {
  const lines = (text) => text.split("\n").filter(Boolean);
  const own = lines(readFileSync(inRoot(".gitignore"), "utf8"));
  assert.deepEqual(lines(GITIGNORE).filter((line) => !own.includes(line)), []);
  assert.ok(lines(GITIGNORE).includes("/.dev.vars*"));
  const { stdout } = spawnSync("git", ["ls-files", "--", ".dev.vars*"], { cwd: root, encoding: "utf8" });
  assert.equal(stdout, "", "an ignored file is committed all the same once git tracks it");
});

test("a local run needs no .dev.vars", async () => {
  rmSync(join(directory, ".dev.vars"), { force: true });
  const local = run({ text: wranglerToml() });
  await local.write();
  assert.equal(written(local).vars.LOCAL_CONSUMER, "detached");
});

test("a save that breaks the configuration is reported and the last valid one stays, until the next valid one", { timeout: 120_000 }, async (t) => {
  const log = [];
  t.mock.method(console, "error", (text) => log.push(text));
  t.mock.method(console, "log", (text) => log.push(text));
  const said = async (pattern) => {
    while (!log.some((text) => pattern.test(text))) await new Promise((resolve) => setTimeout(resolve, 20));
  };
  const text = wranglerToml("https://one.example");
  const local = run({ text });
  await local.write();
  const stop = local.watch();
  t.after(stop);
  // The times of files may be coarse.
  await new Promise((resolve) => setTimeout(resolve, 50));

  writeFileSync(file, text.replace("https://one.example", "https://two.example").replace('"always"', '"allways"'));
  await said(/wrangler\.toml:\d+:\d+: .*rules\[reports\]\.defer[^]*last valid configuration stays/);
  assert.equal(written(local).vars.RAINCHECK.origin, "https://one.example");

  writeFileSync(file, text.replace("https://one.example", "https://two.example"));
  await said(/wrangler\.toml was saved/);
  assert.equal(written(local).vars.RAINCHECK.origin, "https://two.example");
});

test("a crash of the check is reported, and the last valid configuration stays", { timeout: 120_000 }, async (t) => {
  const log = [];
  t.mock.method(console, "error", (text) => log.push(text));
  const text = wranglerToml("https://one.example");
  const local = run({ text });
  await local.write();
  t.after(local.watch());
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.mock.method(local, "write", async () => {
    throw new WebAssembly.RuntimeError("unreachable");
  });
  writeFileSync(file, `${text}\n# changed\n`);
  while (log.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.match(log[0], /The check itself failed: unreachable[^]*report this, with .*wrangler\.toml[^]*last valid configuration stays/);
  assert.equal(written(local).vars.RAINCHECK.origin, "https://one.example");
});

test("a value that is nested too deep is a problem with its line", async () => {
  const deep = `${wranglerToml("https://one.example")}\n[deep]\nvalue = ${"[".repeat(1_000)}${"]".repeat(1_000)}\n`;
  await assert.rejects(run({ text: deep }).write(), (error) => error instanceof Problem && /wrangler\.toml:\d+:\d+: .*nested/.test(error.message));
  const deepest = deep.replace(/\[{9,}\]+/, `${"[".repeat(50_000)}${"]".repeat(50_000)}`);
  await assert.rejects(run({ text: deepest }).write(), (error) => error instanceof Problem && /nested/.test(error.message));
});
