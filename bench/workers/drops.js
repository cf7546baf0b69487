// A SQLite object with one table in the form of a partition (`jobs_create` in src/shard/schema.rs), to time
// how long dropping it takes. Only SQLite's own functions fill it.
import { DurableObject } from "cloudflare:workers";

const ROWS_PER_STATEMENT = 2_000;
const STATE_CHARS = 700;
const REQUEST_CHARS = 300;
const BODY_BYTES = 500; // Together a row of 1.5 KB.

export class Store extends DurableObject {
  fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    const number = (name) => Number(searchParams.get(name));
    if (pathname === "/fill") this.fill(number("rows"), number("result"));
    if (pathname === "/drop") this.ctx.storage.sql.exec("DROP TABLE jobs_1");
    const [{ tables }] = this.ctx.storage.sql.exec("SELECT count(*) AS tables FROM sqlite_master WHERE name = 'jobs_1'");
    return Response.json({ tables });
  }

  fill(rows, resultBytes) {
    const { sql } = this.ctx.storage;
    sql.exec(
      "CREATE TABLE jobs_1 (key INTEGER PRIMARY KEY, active INTEGER NOT NULL, secret BLOB NOT NULL, " +
        "state TEXT NOT NULL, request TEXT NOT NULL, response TEXT, payload BLOB, body BLOB)",
    );
    for (let first = 1; first <= rows; first += ROWS_PER_STATEMENT) {
      const last = Math.min(rows, first + ROWS_PER_STATEMENT - 1);
      sql.exec(
        "WITH RECURSIVE n(key) AS (SELECT ? UNION ALL SELECT key + 1 FROM n WHERE key < ?) " +
          "INSERT INTO jobs_1 (key, active, secret, state, request, body) " +
          "SELECT key, 0, randomblob(16), ?, ?, randomblob(?) FROM n",
        first, last, "s".repeat(STATE_CHARS), "r".repeat(REQUEST_CHARS), resultBytes || BODY_BYTES,
      );
    }
  }
}

export default {
  fetch: (request, env) => env.STORE.get(env.STORE.idFromName("one")).fetch(request),
};
