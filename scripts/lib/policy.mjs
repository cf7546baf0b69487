// The policy code of the built bundle, under Node: the commands check a configuration with the very code that the
// Worker runs.
//
// Only one function of it is called, and it touches nothing of the platform. So the module gets a stand-in for
// each of its imports, and the text goes in and out as wasm-bindgen passes texts: UTF-8 in the module's memory,
// owned by whoever receives it.

import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { modernNode } from "./node.mjs";
import { BUNDLE } from "./paths.mjs";
import { output } from "./run.mjs";
import { Problem } from "./ui.mjs";

const SELF = fileURLToPath(import.meta.url);
/** The alignment of bytes, which wasm-bindgen's allocator asks for. */
const BYTES = 1;

/** What stands for an import: whoever calls it wanted the platform. */
function absent(name) {
  return () => {
    throw new Error(`the policy code called ${name}`);
  };
}

function instance() {
  const module = new WebAssembly.Module(readFileSync(BUNDLE.wasm));
  const imports = {};
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
    imports[from] ??= {};
    // The tag is that of JavaScript's exceptions, of which there are none here.
    imports[from][name] = kind === "tag" ? new WebAssembly.Tag({ parameters: ["externref"] }) : absent(name);
  }
  return new WebAssembly.Instance(module, imports).exports;
}

/** Asks `policy::deployment` a question (src/policy/deployment/mod.rs). Needs the bundle and the npm packages. */
export async function ask(question) {
  if (!existsSync(BUNDLE.wasm)) throw new Problem("There is no built Worker.", "Run: npm run build");
  const text = JSON.stringify(question);
  const node = modernNode();
  // Older ones do not know all of the module's types.
  const answered = node === process.execPath ? answerTo(text) : await output(node, [SELF], { input: text });
  const answer = JSON.parse(answered);
  if (answer.unanswerable) throw new Error(`the policy code does not understand: ${answer.unanswerable}`);
  return answer;
}

function answerTo(question) {
  const wasm = instance();
  const bytes = new TextEncoder().encode(question);
  const start = wasm.__wbindgen_malloc(bytes.length, BYTES) >>> 0;
  new Uint8Array(wasm.memory.buffer, start, bytes.length).set(bytes);
  const [at, length] = wasm.aboutDeployment(start, bytes.length);
  return new TextDecoder().decode(new Uint8Array(wasm.memory.buffer, at >>> 0, length));
}

// Run by itself it answers the question on its standard input.
if (process.argv[1] === SELF) process.stdout.write(answerTo(readFileSync(0, "utf8")));
