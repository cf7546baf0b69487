// Writes the runtime's configuration: one directory per run, with the modules copied into it, because a
// configuration embeds files by paths relative to itself.
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { extname, join } from "node:path";

import { modulesFrom } from "./modules.mjs";

export const SHARD_COUNT = 8;
const QUEUES = ["high", "normal", "low"];
const MODULE_KINDS = { ".js": "esModule", ".mjs": "esModule", ".wasm": "wasm" };
const BASELINE_DATE = "2026-11-01";
const DEFAULT_RETENTION = "1h"; // Nothing expires during a timed run.
const PATIENCE = "30s"; // The default.
const NO_REPAIR = "1h"; // Where messages are dropped on purpose, sending them again is not part of the cost.

const text = (value) => JSON.stringify(value);
const list = (items) => `[\n        ${items.join(",\n        ")} ]`;

/** Copies a module and what it imports from one directory to another, and lists them as the configuration names them. */
function embed(from, to, folder, main) {
  const files = [...modulesFrom(from, main)];
  for (const file of files) cpSync(join(from, file), join(to, folder, file));
  return list(files.map((file) => `( name = ${text(file)}, ${MODULE_KINDS[extname(file)]} = embed ${text(`${folder}/${file}`)} )`));
}

function worker({ name, modules, date, flags = [], bindings = [], objects = [], outbound }) {
  const parts = [
    `modules = ${modules}`,
    `compatibilityDate = ${text(date)}`,
    `compatibilityFlags = ${list(flags.map(text))}`,
    `bindings = ${list(bindings)}`,
  ];
  if (outbound) parts.push(`globalOutbound = ${text(outbound)}`);
  if (objects.length > 0) {
    const classes = objects.map((name) => `( className = ${text(name)}, uniqueKey = ${text(`bench-${name}`)}, enableSql = true )`);
    parts.push(`durableObjectNamespaces = ${list(classes)}`, `durableObjectStorage = ( localDisk = "disk" )`);
  }
  return `( name = ${text(name)}, worker = (\n      ${parts.join(",\n      ")} ) )`;
}

const external = (name, port) => `( name = ${text(name)}, external = ( address = ${text(`127.0.0.1:${port}`)}, http = () ) )`;
const bound = (name, value) => `( name = ${text(name)}, ${value} )`;

function baseline(directory, workers, { main, stores }) {
  const bindings = stores ? [bound("STORE", `durableObjectNamespace = "Store"`), bound("SHARD_COUNT", `json = ${text(String(SHARD_COUNT))}`)] : [];
  const modules = embed(workers, directory, "main", main);
  return worker({ name: "main", modules, date: BASELINE_DATE, bindings, objects: stores ? ["Store"] : [], outbound: "origin" });
}

/** What wrangler.toml says about the runtime, so that the benchmark runs with the flags of a deployment. */
export function compatibilityOf(wranglerToml) {
  const date = /^compatibility_date\s*=\s*"([^"]+)"/m.exec(wranglerToml)?.[1] ?? BASELINE_DATE;
  const uncommented = wranglerToml.replace(/^\s*#.*$/gm, "");
  const flags = /^compatibility_flags\s*=\s*\[([^\]]*)\]/m.exec(uncommented)?.[1] ?? "";
  return { date, flags: [...flags.matchAll(/"([^"]+)"/g)].map(([, flag]) => flag) };
}

/** The bundle alone, or behind the module that counts its operations or times its turns. */
function bundleModules(directory, { bundle, workers, behind }) {
  if (!behind) return embed(bundle, directory, "main", "index.js");
  const both = join(directory, "behind");
  for (const file of modulesFrom(bundle, "index.js")) cpSync(join(bundle, file), join(both, file));
  cpSync(join(workers, behind), join(both, behind));
  return embed(both, directory, "main", behind);
}

/** What `[vars.RAINCHECK]` holds for Raincheck in the benchmark. */
const configuration = ({ shards, retention, patience }) => ({
  // workerd sends every outbound request to the origin process, whatever its host. Not a loopback address: Raincheck
  // probes those before each attempt, which it does in local runs only.
  origin: "https://origin.test",
  shards,
  claim_patience: patience,
  tombstone: "1s",
  rules: [{ name: "reports", methods: ["POST"], path: "/reports", defer: "always", deadline: retention, retention }],
});

function gateway(directory, parts, { drop, behind, shards = SHARD_COUNT, retention = DEFAULT_RETENTION, patience = PATIENCE }) {
  const settings = { shards, retention, patience: drop ? NO_REPAIR : patience };
  const queueService = (queue) =>
    drop ? text("sink") : `( name = "broker", props = ( json = ${text(JSON.stringify({ queue: `raincheck-${queue}` }))} ) )`;
  const bindings = [
    bound("RAINCHECK", `json = ${text(JSON.stringify(configuration(settings)))}`),
    bound("SHARDS", `durableObjectNamespace = "ShardObject"`),
    bound("BUCKET", `r2Bucket = "bucket"`),
    ...QUEUES.map((queue) => bound(`QUEUE_${queue.toUpperCase()}`, `queue = ${queueService(queue)}`)),
  ];
  const main = { name: "main", modules: bundleModules(directory, { ...parts, behind }), objects: ["ShardObject"], outbound: "origin" };
  const side = (name) => ({ name, modules: embed(parts.workers, directory, name, `${name}.js`), date: BASELINE_DATE });
  return [
    worker({ ...main, ...compatibilityOf(parts.wranglerToml), bindings }),
    worker({ ...side("broker"), flags: ["service_binding_extra_handlers"], bindings: [bound("CONSUMER", `service = "main"`)] }),
    worker(side("bucket")),
  ];
}

/** The sockets of a subject: its own, and for the harness those of the broker and the bucket. */
export const socketsOf = (subject) => (subject.ours ? ["http", "broker", "bucket"] : ["http"]);

/** Writes `config.capnp` into `directory` for one subject and returns its path. */
export function writeConfig(directory, subject, peer, parts) {
  mkdirSync(join(directory, "disk"));
  const services = [
    external("origin", peer.origin),
    external("sink", peer.sink),
    `( name = "disk", disk = ( path = ${text(join(directory, "disk"))}, writable = true ) )`,
  ];
  if (subject.ours) services.push(...gateway(directory, parts, subject));
  else services.push(baseline(directory, parts.workers, subject));
  const socket = (name, service) => `( name = ${text(name)}, address = "127.0.0.1:0", http = (), service = ${text(service)} )`;
  const sockets = socketsOf(subject).map((name) => socket(name, name === "http" ? "main" : name));
  const path = join(directory, "config.capnp");
  writeFileSync(
    path,
    `using Workerd = import "/workerd/workerd.capnp";\n\nconst config :Workerd.Config = (\n` +
      `  services = [\n    ${services.join(",\n    ")} ],\n  sockets = [\n    ${sockets.join(",\n    ")} ],\n);\n`,
  );
  return path;
}
