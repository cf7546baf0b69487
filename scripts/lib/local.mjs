// The configuration for `wrangler dev` under `start`: the user's file, adapted to this machine and rewritten on changes.

import { existsSync, mkdirSync, readFileSync, realpathSync, rmSync, symlinkSync, unwatchFile, watchFile, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";

import { localConfiguration } from "./configuration.mjs";
import { BUNDLE, inRoot, isClone, root } from "./paths.mjs";
import { setUp } from "./setup.mjs";
import { readSource } from "./source.mjs";
import { Problem, step } from "./ui.mjs";

/** Soon enough for someone who saves a file and looks at the result. */
const POLL_MS = 250;
/** Acknowledges a batch while its jobs run, because the local queue delivers one batch at a time. */
const CONSUMER = { LOCAL_CONSUMER: "detached" };

/** The default origin in the file, `undefined` if there is none. */
async function originInFile(file, environment) {
  const { value } = await readSource(file);
  const { vars } = environment === "" ? value : (value.env?.[environment] ?? {});
  const origin = vars?.RAINCHECK?.origin;
  return typeof origin === "object" ? origin.url : origin;
}

/** The Worker to run: the file's own; or, if that is ours or missing, ours with support for a graceful stop. */
function workerFor(main) {
  const isOurs = !main || !existsSync(main) || realpathSync(main) === realpathSync(BUNDLE.worker);
  return isOurs ? BUNDLE.local : main;
}

/** How our Worker is rebuilt when its source changes; the package has no source. */
const BUILD = isClone ? { build: { command: "node scripts/build.mjs", cwd: root, watch_dir: inRoot("src") } } : {};

/** Whether a request to this URL reaches `port` on this machine, under any name of it. */
function isHere(url, port) {
  const { protocol, hostname, port: of } = new URL(url);
  const host = hostname.replace(/\.$/, "");
  const isLocal = /^(127\.[\d.]+|0\.0\.0\.0|\[::1?\]|(.+\.)?localhost)$/.test(host);
  return isLocal && Number(of || (protocol === "https:" ? 443 : 80)) === port;
}

/** A `Problem` where an origin is Raincheck itself; `what` says which origin. */
export function refuseItself(what, url, port) {
  if (!isHere(url, port)) return;
  throw new Problem(
    `${what}, where Raincheck itself is to listen: each request would come back to it.`,
    `Give the address of your API or, if that listens on ${port}, another --port to Raincheck.`,
  );
}

/** The configuration of one run. */
export class LocalRun {
  #options;
  #directory;
  #demo;
  #secret;

  /**
   * `options` has `file`, `environment`, `origin` and `port`. The configuration is written to `directory`. `demo` has
   * the `address` that means the demo origin in the file, and `start()`, which starts it once and returns its URL.
   * `secret` is the path that stops the Worker.
   */
  constructor({ options, directory, demo, secret }) {
    this.#options = options;
    this.#directory = directory;
    this.#demo = demo;
    this.#secret = secret;
    this.configuration = join(directory, "wrangler.json");
  }

  /** The origin to use instead of the file's, and whether it is the demo. */
  async #origin() {
    const { file, environment, origin } = this.#options;
    if (origin !== undefined) return { origin, isDemo: false };
    const own = await originInFile(file, environment);
    const isDemo = own === undefined || own.replace(/\/$/, "") === this.#demo.address;
    return isDemo ? { origin: await this.#demo.start(), isDemo } : { isDemo };
  }

  /** Reads the file and writes the configuration. If the file has a mistake, throws a `Problem` and writes nothing. */
  async write() {
    const { file, environment, port } = this.#options;
    const { origin, isDemo } = await this.#origin();
    const local = await localConfiguration({ file, environment, origin });
    if (local.origin) refuseItself(`The origin in ${basename(file)} is ${local.origin}`, local.origin, port);
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    this.#linkSecrets();
    writeFileSync(this.configuration, JSON.stringify(this.#complete(local.wrangler), undefined, 2), { mode: 0o600 });
    return { mount: local.mount, origin: local.origin ?? "the service that is bound", isDemo };
  }

  #complete(content) {
    const { environment } = this.#options;
    const withVars = (table) => ({ ...table, vars: { ...CONSUMER, ...table.vars, LOCAL_STOP: this.#secret } });
    const main = workerFor(content.main);
    const { build, ...others } = content;
    // The Worker itself is beside it.
    const rules = [...(content.rules ?? []), { type: "ESModule", globs: ["index.js"], fallthrough: false }];
    const complete = { ...others, main, ...(main === BUNDLE.local ? { rules, ...BUILD } : { build }) };
    if (environment === "") return withVars(complete);
    return { ...complete, env: { ...complete.env, [environment]: withVars(complete.env[environment]) } };
  }

  /** The files that hold the secrets of local runs. wrangler looks for them beside the configuration. */
  get #secrets() {
    const { file, environment } = this.#options;
    const names = environment === "" ? [".dev.vars"] : [".dev.vars", `.dev.vars.${environment}`];
    return names.map((name) => join(dirname(file), name));
  }

  #linkSecrets() {
    for (const target of this.#secrets) {
      const link = join(this.#directory, basename(target));
      rmSync(link, { force: true });
      if (existsSync(target)) symlinkSync(target, link);
    }
  }

  /**
   * Rewrites the configuration whenever the file or a secret is saved. Mistakes, and crashes of the check, are printed at
   * once, and the last valid configuration stays in use.
   */
  watch() {
    const { file } = this.#options;
    let last = this.#contents();
    const saved = async () => {
      const contents = this.#contents();
      if (contents === last) return;
      last = contents;
      try {
        // The source may have changed since the start.
        await setUp({ quick: true, parts: ["commands"] });
        await this.write();
        step(`${basename(file)} was saved; the new configuration is used from now on`);
      } catch (error) {
        const what = error instanceof Problem ? error.message : `The check itself failed: ${error.message}\n  Please report this, with ${file}.`;
        console.error(`\n\u2717 ${what}\n  The last valid configuration stays in use.\n`);
      }
    };
    let turn = Promise.resolve();
    const watched = [file, ...this.#secrets];
    for (const name of watched) watchFile(name, { interval: POLL_MS, persistent: false }, () => (turn = turn.then(saved)));
    return () => watched.forEach((name) => unwatchFile(name));
  }

  /** The watched files as one text. A file may be missing for a moment while an editor replaces it. */
  #contents() {
    return [this.#options.file, ...this.#secrets].map((name) => (existsSync(name) ? readFileSync(name, "utf8") : "")).join("\0");
  }
}
