// The npm package in an empty folder: installed from its tarball, it runs without Rust and without this repository.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";

import { BUNDLE, root } from "../../scripts/lib/paths.mjs";

/** From the end of the installation to the first receipt. */
const RECEIPT_WITHIN_SECONDS = 20;
/** A machine that does other things, too, may be so much slower. */
const PATIENCE = 6;

const directory = mkdtempSync(join(tmpdir(), "raincheck-package-"));
const folder = join(directory, "gateway");
let installed;

// Rust is hidden where that is possible, so that anything that needs it fails.
const hasOnlyRust = (path) => existsSync(join(path, "cargo")) && !existsSync(join(path, "node"));
const env = { ...process.env, PATH: process.env.PATH.split(":").filter((path) => !hasOnlyRust(path)).join(":") };
for (const name of Object.keys(env)) if (name.startsWith("npm_") || name === "INIT_CWD") delete env[name];

function run(command, args, options = {}) {
  const done = spawnSync(command, args, { cwd: folder, env, encoding: "utf8", ...options });
  assert.equal(done.error, undefined);
  return done;
}

/** A command of the package; what it printed. */
function raincheck(...args) {
  const { status, stdout, stderr } = run("npx", ["raincheck", ...args], { stdio: ["ignore", "pipe", "pipe"] });
  return { status, stdout, stderr };
}

function initialized(...args) {
  for (const name of ["wrangler.toml", ".dev.vars", ".gitignore"]) rmSync(join(folder, name), { force: true });
  const { status, stderr } = raincheck("init", ...args);
  assert.equal(status, 0, stderr);
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

before(() => {
  assert.ok(Object.values(BUNDLE).every(existsSync), "the bundle is missing: npm run build makes it");
  mkdirSync(folder);
  // The bundle has been built, so npm runs no scripts before.
  const packed = run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", directory], { cwd: root });
  const [{ filename }] = JSON.parse(packed.stdout);
  const done = run("npm", ["install", "--prefer-offline", "--no-audit", "--loglevel=error", join(directory, filename)]);
  assert.equal(done.status, 0, done.stderr);
  installed = performance.now();
});

after(() => rmSync(directory, { recursive: true, force: true, maxRetries: 10 }));

test("a receipt comes within seconds of the installation, and Ctrl-C ends it", { timeout: 300_000 }, async (t) => {
  initialized("--demo");
  const port = await freePort();
  const child = spawn("npx", ["raincheck", "start", "--port", String(port)], { cwd: folder, env, detached: true, stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid, "SIGKILL");
  });
  const said = [];
  for await (const line of createInterface(child.stdout)) {
    said.push(line);
    if (line.includes("curl ")) break;
  }
  child.stdout.resume();
  const response = await fetch(`http://127.0.0.1:${port}/reports`, { method: "POST", body: "{}" });
  const seconds = (performance.now() - installed) / 1000;
  assert.equal(response.status, 202, said.join("\n"));
  t.diagnostic(`the receipt came ${seconds.toFixed(1)} s after the installation; the aim is ${RECEIPT_WITHIN_SECONDS} s`);
  assert.ok(seconds < RECEIPT_WITHIN_SECONDS * PATIENCE, `${seconds} s`);

  const result = await fetch(response.headers.get("location"), { headers: { prefer: "wait=30" } });
  assert.equal(result.status, 200);
  assert.equal((await result.json()).body.text, "{}");
  // As a terminal does: npx gets the signal, too, waits, and then ends by it.
  process.kill(-child.pid, "SIGINT");
  await once(child, "exit");
  await assert.rejects(fetch(`http://127.0.0.1:${port}/hello`));
  assert.ok(!existsSync(join(folder, ".wrangler", "state", "start.lock")));
});

test("without a configuration each command says how to create one, and creates nothing", () => {
  for (const name of ["wrangler.toml", ".dev.vars", ".wrangler"]) rmSync(join(folder, name), { recursive: true, force: true });
  for (const name of ["start", "check", "provision", "deploy"]) {
    const { status, stderr } = raincheck(name);
    assert.equal(status, 1);
    assert.match(stderr, /wrangler\.toml: cannot be read[^]*npx raincheck init/, name);
  }
  assert.ok(!existsSync(join(folder, ".wrangler")));
});

test("init writes a configuration that check accepts, before an API or before the demo", () => {
  for (const [args, origin, rules] of [[["--demo"], "http://127.0.0.1:8788", 3], [["--origin", "https://api.example.com/v1"], "https://api.example.com/v1", 1]]) {
    initialized(...args);
    const { status, stdout, stderr } = raincheck("check");
    assert.equal(status, 0, stderr);
    assert.match(stdout, new RegExp(`^wrangler.toml: ${rules} rules?, to ${origin}, jobs under /jobs$`, "m"));
    assert.equal(stderr, "");
  }
  assert.match(readFileSync(join(folder, ".gitignore"), "utf8"), /^\/\.dev\.vars\*$/m);
});

test("init overwrites nothing and rejects an invalid origin", () => {
  initialized("--demo");
  const text = "# mine\n";
  writeFileSync(join(folder, "wrangler.toml"), text);
  const again = raincheck("init", "--demo");
  assert.equal(again.status, 1);
  assert.match(again.stderr, /wrangler\.toml and \.dev\.vars exist here already/);
  assert.equal(readFileSync(join(folder, "wrangler.toml"), "utf8"), text);

  rmSync(join(folder, "wrangler.toml"));
  rmSync(join(folder, ".dev.vars"));
  for (const [args, message] of [
    [[], /--origin is missing/],
    [["--origin", "api.example.com"], /--origin is "api\.example\.com", not a URL/],
    [["--origin", "https://user:secret@api.example.com"], /an origin has no credentials/],
    [["--demo", "--origin", "https://api.example.com"], /cannot be combined/],
  ]) {
    const { status, stderr } = raincheck("init", ...args);
    assert.equal(status, 1);
    assert.match(stderr, message);
  }
  assert.ok(!existsSync(join(folder, "wrangler.toml")));
});

test("a dry run of deploy and of provision needs nothing else", () => {
  initialized("--origin", "https://api.example.com");
  const deployed = raincheck("deploy", "--dry-run");
  assert.equal(deployed.status, 0, deployed.stderr);
  assert.ok(existsSync(join(folder, "dist", "index_bg.wasm")));
  assert.match(raincheck("provision", "--dry-run").stdout, /queues create raincheck-dead/);
  initialized("--demo");
  assert.match(raincheck("deploy", "--dry-run").stderr, /127\.0\.0\.1/);
});

test("every command's help shows the command as the user types it", () => {
  const { stdout } = raincheck("--help");
  for (const name of ["init", "start", "check", "provision", "deploy"]) {
    assert.match(stdout, new RegExp(`^  ${name} `, "m"));
    assert.match(raincheck(name, "--help").stdout, new RegExp(`^npx raincheck ${name}\\b`));
  }
  const unknown = raincheck("undeploy");
  assert.equal(unknown.status, 1);
  assert.match(unknown.stderr, /no command "undeploy"[^]*init, start, check, provision, deploy/);
  assert.equal(raincheck("--version").stdout.trim(), JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version);
});
