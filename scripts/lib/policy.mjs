// Runs the policy code under Node, so that the commands check a configuration with the same code as the Worker. It is a
// module of its own, because the Worker does not need what the commands ask.
//
// Its one function uses nothing of the platform. The module therefore gets a stub for each of its imports. Strings go in
// and out as in wasm-bindgen: UTF-8 in the module's memory, owned by the receiver.

import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { modernNode } from "./node.mjs";
import { BUNDLE } from "./paths.mjs";
import { output } from "./run.mjs";
import { Problem } from "./ui.mjs";

const SELF = fileURLToPath(import.meta.url);
/** The alignment of bytes, an argument of wasm-bindgen's allocator. */
const BYTES = 1;

/** A stub for an import. Calling it means that the code tried to use the platform. */
function absent(name) {
  return () => {
    throw new Error(`the policy code called ${name}`);
  };
}

function instance() {
  const module = new WebAssembly.Module(readFileSync(BUNDLE.commands));
  const imports = {};
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
    imports[from] ??= {};
    // The tag is for JavaScript exceptions, which do not occur here.
    imports[from][name] = kind === "tag" ? new WebAssembly.Tag({ parameters: ["externref"] }) : absent(name);
  }
  return new WebAssembly.Instance(module, imports).exports;
}

/** Asks `policy::deployment` a question (src/policy/deployment/mod.rs). Needs the build and the npm packages. */
export async function ask(question) {
  if (!existsSync(BUNDLE.commands)) throw new Problem("The policy code is not built.", "Run: npm run build");
  const text = JSON.stringify(question);
  const node = modernNode();
  // An older Node does not support all types of the module.
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

// Run as a program, it answers the question on its standard input.
if (process.argv[1] === SELF) process.stdout.write(answerTo(readFileSync(0, "utf8")));
