// The built Worker, with a timer around each turn in which a shard reads or writes its database, during which nothing
// else can run in its object. Used only as the main module of the runs that time a start. The wrapper costs far less
// than the statement that it wraps.
import * as bundle from "./index.js";

export * from "./index.js";

const PAGE = "SELECT key, state FROM jobs_"; // `jobs_active` in src/shard/schema.rs: one for each page of a start.
const seen = { pages: 0, firstAt: 0, lastPageAt: 0, longestTurnMs: 0, turns: 0 };

let turn = 0; // When the current turn began.

function note(statement) {
  const now = performance.timeOrigin + performance.now();
  seen.firstAt ||= now;
  if (turn === 0) {
    turn = now;
    // Runs as soon as the turn ends.
    queueMicrotask(() => {
      const end = performance.timeOrigin + performance.now();
      seen.turns += 1;
      seen.longestTurnMs = Math.max(seen.longestTurnMs, end - turn);
      if (seen.inPage) seen.lastPageAt = end;
      seen.inPage = false;
      turn = 0;
    });
  }
  if (statement.startsWith(PAGE)) {
    seen.pages += 1;
    seen.inPage = true;
  }
}

let wrapped = false;

/** Constructed in place of the Worker's own object, only to reach the storage before its first statement. */
class StartedShard extends bundle.ShardObject {
  constructor(ctx, env) {
    if (!wrapped) {
      wrapped = true;
      const prototype = Object.getPrototypeOf(ctx.storage.sql);
      const exec = prototype.exec;
      prototype.exec = function (statement, ...values) {
        note(statement);
        return exec.call(this, statement, ...values);
      };
    }
    super(ctx, env);
  }
}

const Entry = bundle.default;
const inner = Entry.prototype ?? Entry;
const serve = inner.fetch;
inner.fetch = function (request, ...rest) {
  if (new URL(request.url).pathname === "/__start") return Response.json(seen);
  return serve.call(this, request, ...rest);
};

export { StartedShard as ShardObject };
export default Entry;
