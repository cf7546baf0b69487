// `npm start`: Raincheck on this machine, in front of a demo origin or of your own API.

import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline";
import { dirname, join, resolve } from "node:path";
import { once } from "node:events";

import { startChild, stopAll, stopOnSignals } from "./lib/children.mjs";
import { LocalRun, isHere } from "./lib/local.mjs";
import { lockState } from "./lib/lock.mjs";
import { modernNode } from "./lib/node.mjs";
import { inRoot, project } from "./lib/paths.mjs";
import { HOST, holdPort } from "./lib/ports.mjs";
import { setUp } from "./lib/setup.mjs";
import { readFile, shownPath } from "./lib/source.mjs";
import { Problem, elapsed, main, readArguments, readPort, step, typed } from "./lib/ui.mjs";
import { wrangler } from "./lib/wrangler.mjs";

const DEFAULT_FILE = "wrangler.toml";
const DEFAULT_PORT = "8787";
const DEMO_PORT = 8788;
/** What wrangler.toml calls the demo origin. */
const DEMO_ADDRESS = `http://${HOST}:${DEMO_PORT}`;
const DEFAULT_STATE = join(".wrangler", "state");
/** wrangler is ready within three seconds on an idle machine; a busy one may need longer. */
const READY_WITHIN_MS = 90_000;
const POLL_MS = 150;
/** How long attempts that run at Ctrl-C may take. */
const ATTEMPTS_END_WITHIN_MS = 10_000;
/** Below the mount; no job has such an id. */
const PROBE = "is-it-up";

const HELP = `
${typed("start", "[OPTIONS]")}: builds what is missing and runs Raincheck on this machine.

  --port N       listen on 127.0.0.1:N (default ${DEFAULT_PORT})
  --origin URL   put it in front of this API, whatever the configuration says
  --config FILE  the configuration (default ${DEFAULT_FILE})
  --env NAME     run this environment of it
  --state DIR    keep the jobs there (default ${DEFAULT_STATE}, beside the configuration)
  --verbose      show what compilers and npm print also when they do not fail
  --help         this text

A demo origin is started where the configuration has none, or names ${DEMO_ADDRESS}.
Jobs survive a restart. A configuration that is saved is used at once, if it is valid. Ctrl-C
lets running attempts end for up to ten seconds; a second one does not.
`;

function readOptions() {
  const { values } = readArguments(HELP, {
    port: { type: "string", default: DEFAULT_PORT },
    origin: { type: "string" },
    config: { type: "string", default: join(project, DEFAULT_FILE) },
    env: { type: "string", default: "" },
    state: { type: "string" },
    verbose: { type: "boolean" },
  });
  const port = readPort(values.port, "--port");
  const { origin } = values;
  if (origin !== undefined && !(URL.canParse(origin) && /^https?:$/.test(new URL(origin).protocol))) {
    throw new Problem(`--origin is ${JSON.stringify(origin)}, not a URL.`, "Give one like https://api.example.com.");
  }
  if (origin !== undefined && isHere(origin, port)) {
    throw new Problem(
      `--origin is ${JSON.stringify(origin)}, where Raincheck itself is to listen: each request would come back to it.`,
      `Give the address of your API or, if that listens on ${port}, another --port to Raincheck.`,
    );
  }
  const file = resolve(values.config);
  // Before anything is made beside it.
  readFile(file);
  const state = values.state === undefined ? join(dirname(file), DEFAULT_STATE) : resolve(project, values.state);
  return { port, origin, file, environment: values.env, state };
}

/** The demo origin, which is started when it is first wanted. */
function demoOrigin() {
  const children = [];
  const start = async () => {
    const child = startChild("demo origin", modernNode(), [inRoot("demo", "origin.mjs"), "--or-any-port"]);
    const [line] = await Promise.race([once(createInterface(child.stdout), "line"), child.failed]);
    children.push(child);
    child.show();
    const [url] = line.match(/http:\S+/);
    step(`Started the demo origin on ${url}`);
    return url;
  };
  let started;
  return { address: DEMO_ADDRESS, children, start: () => (started ??= start()) };
}

function startRuntime({ port, state, environment }, configuration) {
  const [command, args, { env }] = wrangler(
    "dev",
    ...["--config", configuration],
    ...(environment === "" ? [] : ["--env", environment]),
    ...["--ip", HOST, "--port", String(port), "--inspector-port", "0"],
    ...["--persist-to", state],
    "--show-interactive-dev-session=false",
  );
  return startChild("local runtime", command, args, {
    env: {
      ...env,
      // It would choose an environment; --env does.
      CLOUDFLARE_ENV: undefined,
      // For the build command of the configuration; see scripts/build.mjs.
      RAINCHECK_BUILD: "quick",
      ...(process.stdout.isTTY ? { FORCE_COLOR: "1" } : {}),
    },
  });
}

/** Waits until the Worker itself answers: a path under its mount, which no origin sees. */
async function waitUntilReady(url, mount) {
  const deadline = performance.now() + READY_WITHIN_MS;
  while (performance.now() < deadline) {
    try {
      const response = await fetch(`${url}${mount}/${PROBE}`, { signal: AbortSignal.timeout(READY_WITHIN_MS) });
      return { status: response.status, text: await response.text() };
    } catch {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }
  throw new Problem("The local runtime did not answer in time.", "Look at what it said above and try again.");
}

/** Tells the Worker to begin no attempt, and returns how many run; none when it does not answer. */
async function runningAttempts(url, secret) {
  try {
    const response = await fetch(`${url}${secret}`, { signal: AbortSignal.timeout(ATTEMPTS_END_WITHIN_MS) });
    return (await response.json()).running;
  } catch {
    return 0;
  }
}

const attempts = (count) => (count === 1 ? "1 attempt" : `${count} attempts`);

/** Waits until no attempt runs any more, for a while; says how many are cut. `hurry` is a promise that ends the wait. */
async function letAttemptsEnd(url, secret, hurry) {
  const deadline = performance.now() + ATTEMPTS_END_WITHIN_MS;
  let hurried = false;
  hurry.then(() => (hurried = true));
  let running = await runningAttempts(url, secret);
  if (running > 0) step(`Waiting up to 10 s for ${attempts(running)} to end; Ctrl-C again does not wait`);
  while (running > 0 && !hurried && performance.now() < deadline) {
    await Promise.race([hurry, new Promise((resolve) => setTimeout(resolve, POLL_MS))]);
    running = await runningAttempts(url, secret);
  }
  if (running > 0) step(`Cut ${attempts(running)}: such a job is tried again where that is safe, else it fails`);
}

function greet(url, origin, isDemo, file) {
  const example = isDemo
    ? `Post a request that takes five seconds, and get a receipt at once; then get what its
Location names, the result, once there is one:

  curl -i -X POST '${url}/reports?seconds=5' -H 'content-type: application/json' -d '{"month":"2026-10"}'`
    : `Requests that a rule in ${shownPath(file)} names become jobs; all others go straight through:

  curl -i '${url}/'`;
  console.log(`\nRaincheck is at ${url}, in front of ${origin}. Ctrl-C stops it.\n\n${example}\n`);
}

/** Runs everything until it fails; `stopOnSignals` ends it otherwise. */
async function run(options, url, { releasePort, noteChildren, begun }) {
  const secret = `/${randomBytes(16).toString("hex")}`;
  const demo = demoOrigin();
  const local = new LocalRun({ options, directory: join(options.state, "local"), demo, secret });
  let isReady = false;
  stopOnSignals((hurry) => (isReady ? letAttemptsEnd(url, secret, hurry) : undefined));
  const { mount, origin, isDemo } = await local.write();

  step("Starting the local runtime");
  await releasePort();
  const runtime = startRuntime(options, local.configuration);
  noteChildren([runtime, ...demo.children]);
  const failed = Promise.race([runtime, ...demo.children].map((child) => child.failed));
  const answer = await Promise.race([waitUntilReady(url, mount), failed]).catch((error) => {
    runtime.printKept();
    throw error;
  });
  if (answer.status >= 500) {
    throw new Problem(`Raincheck answers ${answer.status}:\n${answer.text}`, `Check the configuration: ${typed("check")}`);
  }
  // The runtime may tell of our own questions only later.
  runtime.show((line) => [`${mount}/${PROBE}`, secret].some((path) => line.includes(path)));
  local.watch();
  isReady = true;
  step(`Ready after ${elapsed(begun)}`);
  greet(url, origin, isDemo, options.file);
  await failed;
}

await main(async () => {
  const begun = performance.now();
  const options = readOptions();
  const url = `http://${HOST}:${options.port}`;
  const noteChildren = lockState(options.state, url, `Stop it, or keep the jobs of this one elsewhere: ${typed("start", "--port", options.port, "--state", "DIR")}`);
  const releasePort = await holdPort(options.port);
  if (!releasePort) {
    throw new Problem(
      `Port ${options.port} is in use.`,
      `Stop the program that uses it, or choose another: ${typed("start", "--port", "8800")}`,
    );
  }
  await setUp({ quick: true });
  try {
    await run(options, url, { releasePort, noteChildren, begun });
  } finally {
    await stopAll();
  }
});
