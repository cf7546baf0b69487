// The subjects. Those of one `set` are measured side by side. `ours` runs the built Worker, the others a bare
// JavaScript Worker from workers/.
// `check` sends one request before the load and returns what is wrong with its response, if anything.

const BODY_BYTES = 1024;
const STATUS_IDS = 64; // Enough to reach every shard.

/** 1 KiB of JSON. */
const BODY = JSON.stringify({ report: "quarterly", padding: "x".repeat(BODY_BYTES) }).slice(0, BODY_BYTES - 2) + '"}';
const post = (path) => ({ method: "POST", paths: [path], body: BODY, contentType: "application/json" });
const get = (...paths) => ({ method: "GET", paths });

const SLOW_PATH = "/reports"; // A rule in config.mjs always defers it.
const FREE_PATH = "/hello"; // Matches no rule.

/** The load that makes jobs. */
export const NEW_JOB = post(SLOW_PATH);

async function send(url, { method, paths: [path], body, contentType }) {
  const headers = body ? { "content-type": contentType } : {};
  const response = await fetch(url + path, { method, body, headers, redirect: "manual" });
  return { response, text: await response.text() };
}

async function expectStatus(url, load, status) {
  const { response, text } = await send(url, load);
  if (response.status !== status) throw new Error(`${load.method} ${load.paths[0]}: ${response.status} instead of ${status}: ${text.slice(0, 400)}`);
  return response;
}

/** Sends one job and returns the path of its status document. */
export async function acceptOne(url) {
  const response = await expectStatus(url, NEW_JOB, 202);
  const document = response.headers.get("operation-location");
  if (!response.headers.get("location") || !document) throw new Error("a 202 without Location or Operation-Location");
  return new URL(document, url).pathname;
}

async function plain(url, load) {
  await expectStatus(url, load, 200);
  return { load };
}

/** The load of new jobs; afterwards the first one must still exist. */
export async function accepting(url) {
  const document = await acceptOne(url);
  return { load: NEW_JOB, verify: () => expectStatus(url, get(document), 200) };
}

async function reading(url) {
  const paths = [];
  for (let index = 0; index < STATUS_IDS; index += 1) paths.push(await acceptOne(url));
  await expectStatus(url, get(paths[0]), 200);
  return { load: get(...paths) };
}

export const SUBJECTS = [
  { name: "hello", set: "hello", title: "bare JS hello", main: "hello.js", prepare: (url) => plain(url, get(FREE_PATH)) },
  { name: "insert", set: "accept", title: "bare JS, one insert per request", main: "insert.js", stores: true, prepare: accepting },
  { name: "group", set: "accept", title: "bare JS, 2 ms group commit", main: "group.js", stores: true, prepare: accepting },
  { name: "accept", set: "accept", title: "raincheck accept", ours: true, drop: true, prepare: accepting },
  { name: "read", set: "status", title: "bare JS, one row read", main: "insert.js", stores: true, prepare: reading },
  { name: "status", set: "status", title: "raincheck status read", ours: true, drop: true, prepare: reading },
  { name: "proxy", set: "pass", title: "bare JS fetch(request) proxy", main: "proxy.js", prepare: (url) => plain(url, get(FREE_PATH)) },
  { name: "pass", set: "pass", title: "raincheck pass-through", ours: true, drop: true, prepare: (url) => plain(url, get(FREE_PATH)) },
];

/** Which subjects are compared. */
export const RATIOS = [
  { ours: "accept", base: "insert" },
  { ours: "accept", base: "group" },
  { ours: "status", base: "read" },
  { ours: "pass", base: "proxy" },
];
