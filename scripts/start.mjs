// `npm start`: Raincheck on this machine, in front of a demo origin or of your own API.

import { copyFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

import { startChild, stopAll, stopOnSignals } from "./lib/children.mjs";
import { localConfiguration } from "./lib/configuration.mjs";
import { modernNode } from "./lib/node.mjs";
import { inRoot, project } from "./lib/paths.mjs";
import { HOST, freePort, isFree } from "./lib/ports.mjs";
import { setUp } from "./lib/setup.mjs";
import { Problem, elapsed, main, readArguments, readPort, step } from "./lib/ui.mjs";
import { wrangler } from "./lib/wrangler.mjs";

const DEFAULT_PORT = "8787";
const DEMO_PORT = 8788;
const DEFAULT_STATE = ".wrangler/state";
/** Where the configuration of a run is written. */
const LOCAL = join(project, ".wrangler", "local");
/** wrangler is ready within three seconds on an idle machine; a busy one may need longer. */
const READY_WITHIN_MS = 90_000;
const POLL_MS = 150;
/** Below the mount; no job has such an id. */
const PROBE = "is-it-up";

const HELP = `
npm start [-- OPTIONS]: builds what is missing and runs Raincheck on this machine.

  --port N       listen on 127.0.0.1:N (default ${DEFAULT_PORT})
  --origin URL   put it in front of this API; without it a demo origin is started
  --state DIR    keep the jobs there (default ${DEFAULT_STATE})
  --help         this text

The rules are those of wrangler.toml. Jobs survive a restart. Ctrl-C stops everything.
`;

function readOptions() {
  const { values } = readArguments(HELP, {
    port: { type: "string", default: DEFAULT_PORT },
    origin: { type: "string" },
    state: { type: "string", default: DEFAULT_STATE },
  });
  const port = readPort(values.port, "--port");
  const { origin } = values;
  if (origin !== undefined && !(URL.canParse(origin) && /^https?:$/.test(new URL(origin).protocol))) {
    throw new Problem(`--origin is ${JSON.stringify(origin)}, not a URL.`, "Give one like https://api.example.com.");
  }
  if (origin !== undefined && isHere(new URL(origin), port)) {
    throw new Problem(
      `--origin is ${JSON.stringify(origin)}, where Raincheck itself is to listen: each request would come back to it.`,
      `Give the address of your API or, if that listens on ${port}, another --port to Raincheck.`,
    );
  }
  return { port, origin, state: values.state };
}

/** Whether a request to `url` comes to `port` on this machine, by whichever name of it. */
function isHere({ protocol, hostname, port }, ours) {
  const host = hostname.replace(/\.$/, "");
  const isLocal = /^(127\.[\d.]+|0\.0\.0\.0|\[::1?\]|(.+\.)?localhost)$/.test(host);
  return isLocal && Number(port || (protocol === "https:" ? 443 : 80)) === ours;
}

function startDemo(port) {
  step(`Starting the demo origin on http://${HOST}:${port}`);
  return startChild("demo origin", modernNode(), [inRoot("demo", "origin.mjs"), "--port", String(port)]);
}

/** Writes the configuration of this run, and beside it the variables for local runs, where wrangler looks for them. */
function writeConfiguration(content) {
  mkdirSync(LOCAL, { recursive: true });
  const variables = join(project, ".dev.vars");
  if (existsSync(variables)) copyFileSync(variables, join(LOCAL, ".dev.vars"));
  const file = join(LOCAL, "wrangler.json");
  writeFileSync(file, JSON.stringify(content, null, 2));
  return file;
}

function startWrangler({ port, state }, configuration) {
  const [command, args, { env }] = wrangler(
    "dev",
    ...["--ip", HOST, "--port", String(port), "--inspector-port", "0"],
    ...["--persist-to", resolve(project, state)],
    "--show-interactive-dev-session=false",
    ...["--config", writeConfiguration(configuration)],
  );
  return startChild("local runtime", command, args, {
    // It would choose an environment, and here the top level runs.
    env: { ...env, CLOUDFLARE_ENV: undefined, ...(process.stdout.isTTY ? { FORCE_COLOR: "1" } : {}) },
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

function greet(url, origin, isDemo) {
  const example = isDemo
    ? `Post a request that takes five seconds, and get a receipt at once; then get what its
Location names, the result, once there is one:

  curl -i -X POST '${url}/reports?seconds=5' -H 'content-type: application/json' -d '{"month":"2026-10"}'`
    : `Requests that a rule in wrangler.toml names become jobs; all others go straight through:

  curl -i '${url}/'`;
  console.log(`\nRaincheck is at ${url}, in front of ${origin}. Ctrl-C stops it.\n\n${example}\n`);
}

await main(async () => {
  const begun = performance.now();
  const options = readOptions();
  if (!(await isFree(options.port))) {
    throw new Problem(
      `Port ${options.port} is in use.`,
      "Stop the program that uses it, or choose another: npm start -- --port 8800",
    );
  }
  await setUp();

  const demoPort = options.origin ? undefined : await freePort(DEMO_PORT);
  const origin = options.origin ?? `http://${HOST}:${demoPort}`;
  const { mount, wrangler: configuration } = await localConfiguration({ origin });

  stopOnSignals(() => {});
  try {
    const demo = demoPort && startDemo(demoPort);
    const runtime = startWrangler(options, configuration);
    const failed = Promise.race([runtime, demo].filter(Boolean).map((child) => child.failed));
    step("Starting the local runtime");
    const url = `http://${HOST}:${options.port}`;
    const answer = await Promise.race([waitUntilReady(url, mount), failed]).catch((error) => {
      runtime.printKept();
      throw error;
    });
    if (answer.status >= 500) {
      throw new Problem(`Raincheck answers ${answer.status}:\n${answer.text}`, "Check wrangler.toml: npm run check");
    }
    // The runtime may tell of our own question only now.
    runtime.show((line) => line.includes(`${mount}/${PROBE}`));
    demo?.show();
    step(`Ready after ${elapsed(begun)}`);
    greet(url, origin, demo !== undefined);
    await failed;
  } finally {
    await stopAll();
  }
});
