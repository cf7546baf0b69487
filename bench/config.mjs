// Writes the runtime's configuration: one directory per run, with the modules copied into it, because a
// configuration embeds files by paths relative to itself.
import { cpSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { extname, join, relative } from "node:path";

export const SHARD_COUNT = 8;
const QUEUES = ["high", "normal", "low"];
const MODULE_KINDS = { ".js": "esModule", ".mjs": "esModule", ".wasm": "wasm" };
const BASELINE_DATE = "2026-11-01";
const DEFAULT_RETENTION = "1h"; // Nothing expires during a timed run.

const text = (value) => JSON.stringify(value);
const list = (items) => `[\n        ${items.join(",\n        ")} ]`;

function filesUnder(directory) {
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && extname(entry.name) in MODULE_KINDS)
    .map((entry) => relative(directory, join(entry.parentPath ?? entry.path, entry.name)));
}

function modulesOf(files, folder, main) {
  const ordered = [main, ...files.filter((file) => file !== main).sort()];
  return list(ordered.map((file) => `( name = ${text(file)}, ${MODULE_KINDS[extname(file)]} = embed ${text(`${folder}/${file}`)} )`));
}

function worker({ name, folder, files, main, date, flags = [], bindings = [], objects = [], outbound }) {
  const parts = [
    `modules = ${modulesOf(files, folder, main)}`,
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

function baseline(directory, workers, main, bindings, objects) {
  const folder = "main";
  cpSync(workers, join(directory, folder), { recursive: true });
  const files = objects.length > 0 ? ["insert.js", "group.js"] : [main];
  return worker({ name: "main", folder, files, main, date: BASELINE_DATE, bindings, objects, outbound: "origin" });
}

/** What wrangler.toml says about the runtime, so that the benchmark runs with the flags of a deployment. */
export function compatibilityOf(wranglerToml) {
  const date = /^compatibility_date\s*=\s*"([^"]+)"/m.exec(wranglerToml)?.[1] ?? BASELINE_DATE;
  const uncommented = wranglerToml.replace(/^\s*#.*$/gm, "");
  const flags = /^compatibility_flags\s*=\s*\[([^\]]*)\]/m.exec(uncommented)?.[1] ?? "";
  return { date, flags: [...flags.matchAll(/"([^"]+)"/g)].map(([, flag]) => flag) };
}

function gateway(directory, { bundle, workers, settings, wranglerToml, drop, counted }) {
  const folder = "main";
  cpSync(bundle, join(directory, folder), { recursive: true });
  let main = "index.js";
  if (counted) {
    main = "counted.js";
    cpSync(join(workers, main), join(directory, folder, main));
  }
  const brokerFolder = "side";
  cpSync(workers, join(directory, brokerFolder), { recursive: true });
  writeFileSync(join(directory, "raincheck.toml"), settings);
  const { date, flags } = compatibilityOf(wranglerToml);
  const queueService = (queue) =>
    drop ? text("sink") : `( name = "broker", props = ( json = ${text(JSON.stringify({ queue: `raincheck-${queue}` }))} ) )`;
  const bindings = [
    bound("RAINCHECK", `text = embed "raincheck.toml"`),
    bound("SHARDS", `durableObjectNamespace = "ShardObject"`),
    bound("BUCKET", `r2Bucket = "bucket"`),
    ...QUEUES.map((queue) => bound(`QUEUE_${queue.toUpperCase()}`, `queue = ${queueService(queue)}`)),
  ];
  if (counted) bindings.push(bound("BROKER_COUNTS", `service = "broker"`), bound("BUCKET_COUNTS", `service = "bucket"`));
  const side = { folder: brokerFolder, date: BASELINE_DATE };
  return [
    worker({ name: "main", folder, files: modulesIn(directory, folder), main, date, flags, bindings, objects: ["ShardObject"], outbound: "origin" }),
    worker({
      ...side, name: "broker", files: ["broker.js"], main: "broker.js", flags: ["service_binding_extra_handlers"],
      bindings: [bound("CONSUMER", `service = "main"`)],
    }),
    worker({ ...side, name: "bucket", files: ["bucket.js"], main: "bucket.js" }),
  ];
}

const modulesIn = (directory, folder) => filesUnder(join(directory, folder));

/** Writes `config.capnp` into `directory` for one subject and returns its path. */
export function writeConfig(directory, subject, peer, parts) {
  mkdirSync(join(directory, "disk"));
  const services = [
    external("origin", peer.origin),
    external("sink", peer.sink),
    `( name = "disk", disk = ( path = ${text(join(directory, "disk"))}, writable = true ) )`,
  ];
  if (subject.ours) {
    const settings = readFileSync(parts.settings, "utf8").replaceAll("@ORIGIN@", `http://127.0.0.1:${peer.origin}`)
      .replaceAll("@SHARDS@", String(subject.shards ?? SHARD_COUNT))
      .replaceAll("@RETENTION@", subject.retention ?? DEFAULT_RETENTION);
    services.push(...gateway(directory, { ...parts, settings, drop: subject.drop, counted: subject.counted }));
  } else {
    const bindings = subject.stores
      ? [bound("STORE", `durableObjectNamespace = "Store"`), bound("SHARD_COUNT", `json = ${text(String(SHARD_COUNT))}`)]
      : [];
    services.push(baseline(directory, parts.workers, subject.main, bindings, subject.stores ? ["Store"] : []));
  }
  const sockets = [`( name = "http", address = "127.0.0.1:0", http = (), service = "main" )`];
  if (subject.ours) {
    sockets.push(`( name = "broker", address = "127.0.0.1:0", http = (), service = "broker" )`);
    sockets.push(`( name = "bucket", address = "127.0.0.1:0", http = (), service = "bucket" )`);
  }
  const path = join(directory, "config.capnp");
  writeFileSync(
    path,
    `using Workerd = import "/workerd/workerd.capnp";\n\nconst config :Workerd.Config = (\n` +
      `  services = [\n    ${services.join(",\n    ")} ],\n  sockets = [\n    ${sockets.join(",\n    ")} ],\n);\n`,
  );
  return path;
}
