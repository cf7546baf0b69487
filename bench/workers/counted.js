// The built Worker with every billed operation counted. Used only as the main module of the counting run: the wrappers
// cost time, so nothing is timed with them. Wraps the prototypes of the runtime's own classes, so that the
// Worker needs no change and cannot go around them.
import * as bundle from "./index.js";

export * from "./index.js";

const counts = { workerRequests: 0, queueBatches: 0, objectRequests: 0, alarms: 0, objectMs: 0, setAlarms: 0, rowsWritten: 0, rowsRead: 0, statements: {} };

/** Wraps `name` of `prototype`; `note` sees the arguments and may return a function that sees the result. */
function wrap(prototype, name, note) {
  const inner = prototype[name];
  if (typeof inner !== "function") return;
  prototype[name] = function (...args) {
    const after = note.call(this, ...args);
    const result = inner.apply(this, args);
    after?.(result);
    return result;
  };
}

const STATEMENT_CHARS_SHOWN = 80;
const summaryOf = (statement) => statement.trim().replace(/\s+/g, " ").slice(0, STATEMENT_CHARS_SHOWN);

/** A cursor's counters grow while it is read. It is read in the turn that created it, so they are final after that turn. */
function noteStatement(statement) {
  return (cursor) => {
    queueMicrotask(() => {
      const { rowsWritten, rowsRead } = cursor;
      counts.rowsWritten += rowsWritten;
      counts.rowsRead += rowsRead;
      const line = (counts.statements[summaryOf(statement)] ??= { runs: 0, rowsWritten: 0, rowsRead: 0 });
      line.runs += 1;
      line.rowsWritten += rowsWritten;
      line.rowsRead += rowsRead;
    });
  };
}

let storageWrapped = false;

function wrapStorage(storage) {
  if (storageWrapped) return;
  storageWrapped = true;
  wrap(Object.getPrototypeOf(storage.sql), "exec", noteStatement);
  // A value stored by key is a row as well.
  const rowsOf = (key) => (typeof key === "string" ? 1 : (key?.length ?? Object.keys(key).length));
  wrap(Object.getPrototypeOf(storage), "put", (key) => void (counts.rowsWritten += rowsOf(key)));
  wrap(Object.getPrototypeOf(storage), "delete", (key) => void (counts.rowsWritten += rowsOf(key)));
  wrap(Object.getPrototypeOf(storage), "get", (key) => void (counts.rowsRead += rowsOf(key)));
  wrap(Object.getPrototypeOf(storage), "setAlarm", () => void (counts.setAlarms += 1));
}

// An object is billed for the time during which at least one of its handlers runs.
const atWork = new WeakMap();

function noteHandler(counter) {
  return function () {
    counts[counter] += 1;
    const state = atWork.get(this) ?? { handlers: 0, since: 0 };
    atWork.set(this, state);
    if (state.handlers === 0) state.since = Date.now();
    state.handlers += 1;
    return (result) => Promise.resolve(result).catch(() => {}).finally(() => {
      state.handlers -= 1;
      if (state.handlers === 0) counts.objectMs += Date.now() - state.since;
    });
  };
}

const shard = bundle.ShardObject.prototype;
wrap(shard, "fetch", noteHandler("objectRequests"));
wrap(shard, "alarm", noteHandler("alarms"));

const Entry = bundle.default;
wrap(Entry.prototype ?? Entry, "queue", () => void (counts.queueBatches += 1));
const inner = Entry.prototype ?? Entry;
const serve = inner.fetch;
inner.fetch = function (request, ...rest) {
  if (new URL(request.url).pathname === "/__counts") return Response.json(counts);
  counts.workerRequests += 1;
  return serve.call(this, request, ...rest);
};

/** Constructed in place of the Worker's own object, only to reach the storage before its first statement. */
class CountedShard extends bundle.ShardObject {
  constructor(ctx, env) {
    wrapStorage(ctx.storage);
    super(ctx, env);
  }
}

export { CountedShard as ShardObject };
export default Entry;
