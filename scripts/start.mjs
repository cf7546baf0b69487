// `npm start`: runs Raincheck on this machine, in front of a demo origin or your own API.

import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline";
import { dirname, join, resolve } from "node:path";
import { once } from "node:events";

import { startChild, stopAll, stopOnSignals } from "./lib/children.mjs";
import { LocalRun, refuseItself } from "./lib/local.mjs";
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
/** The address of the demo origin in wrangler.toml. */
const DEMO_ADDRESS = `http://${HOST}:${DEMO_PORT}`;
const DEFAULT_STATE = join(".wrangler", "state");
/** wrangler is ready within three seconds on an idle machine; a busy one may need longer. */
const READY_WITHIN_MS = 90_000;
const POLL_MS = 150;
/** How long running attempts may take after Ctrl-C. */
const ATTEMPTS_END_WITHIN_MS = 10_000;
/** Below the mount; no job has such an id. */
const PROBE = "is-it-up";

const HELP = `
${typed("start", "[OPTIONS]")}: builds what is missing and runs Raincheck on this machine.

  --port N       listen on 127.0.0.1:N (default: ${DEFAULT_PORT})
  --origin URL   run in front of this API instead of the configured origin
  --config FILE  the configuration (default: ${DEFAULT_FILE})
  --env NAME     use this environment of the configuration
  --state DIR    where to keep jobs (default: ${DEFAULT_STATE}, beside the configuration)
  --verbose      show the output of compilers and npm even if they succeed
  --help         show this text

Starts a demo origin if the configuration names no origin or ${DEMO_ADDRESS}.
Jobs survive a restart. Saved changes to a valid configuration apply at once. Ctrl-C gives
running attempts up to ten seconds to end; a second Ctrl-C does not wait.
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
  if (origin !== undefined) refuseItself(`--origin is ${JSON.stringify(origin)}`, origin, port);
  const file = resolve(values.config);
  // Fails before anything is written beside it.
  readFile(file);
  const state = values.state === undefined ? join(dirname(file), DEFAULT_STATE) : resolve(project, values.state);
  return { port, origin, file, environment: values.env, state };
}

/** The demo origin, started on first use. */
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
      // Only --env chooses the environment.
      CLOUDFLARE_ENV: undefined,
      // Otherwise wrangler stores a trace of each request, with its full URL, and the store only grows.
      X_LOCAL_OBSERVABILITY: "false",
      // For the build command of the configuration; see scripts/build.mjs.
      RAINCHECK_BUILD: "quick",
      ...(process.stdout.isTTY ? { FORCE_COLOR: "1" } : {}),
    },
  });
}

/** Waits until the Worker itself responds, on a path under its mount, which never reaches an origin. */
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
  throw new Problem("The local runtime did not respond in time.", "See its output above, and try again.");
}

/** Tells the Worker to begin no more attempts. Returns how many are running, or 0 if it does not respond. */
async function runningAttempts(url, secret) {
  try {
    const response = await fetch(`${url}${secret}`, { signal: AbortSignal.timeout(ATTEMPTS_END_WITHIN_MS) });
    return (await response.json()).running;
  } catch {
    return 0;
  }
}

const attempts = (count) => (count === 1 ? "1 attempt" : `${count} attempts`);

/** Waits a while for running attempts to end, and reports how many are cut off. `hurry` is a promise that ends the wait. */
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
  if (running > 0) step(`Cut ${attempts(running)}: such a job is retried where that is safe, otherwise it fails`);
}

function greet(url, origin, isDemo, file) {
  const example = isDemo
    ? `Send a request that takes five seconds. You get a receipt at once; its Location is the URL
of the result:

  curl -i -X POST '${url}/reports?seconds=5' -H 'content-type: application/json' -d '{"month":"2026-10"}'`
    : `Requests that match a rule in ${shownPath(file)} become jobs; all others pass straight through:

  curl -i '${url}/'`;
  console.log(`\nRaincheck is at ${url}, in front of ${origin}. Ctrl-C stops it.\n\n${example}\n`);
}

/** Runs everything until something fails or a signal stops it (`stopOnSignals`). */
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
    throw new Problem(`Raincheck responds with ${answer.status}:\n${answer.text}`, `Check the configuration: ${typed("check")}`);
  }
  // The runtime may log our own requests later.
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
  const noteChildren = lockState(options.state, url, `Stop it, or keep these jobs elsewhere: ${typed("start", "--port", options.port, "--state", "DIR")}`);
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
