// One request, one row, one of SHARD_COUNT SQLite objects: the plain way to make a request durable.
// The body stream is passed to the object unread, which is cheapest.
import { DurableObject } from "cloudflare:workers";

export class Store extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    this.sql = ctx.storage.sql;
    this.sql.exec("CREATE TABLE IF NOT EXISTS jobs (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID");
  }

  async fetch(request) {
    const id = new URL(request.url).pathname.slice(1);
    if (request.method === "GET") {
      const [row] = this.sql.exec("SELECT id, length(body) AS bytes FROM jobs WHERE id = ?", id);
      return row ? Response.json({ ...row, status: "queued" }) : new Response(null, { status: 404 });
    }
    const body = await request.text();
    await this.insert(id, body);
    return new Response(null, { status: 204 });
  }

  insert(id, body) {
    this.sql.exec("INSERT INTO jobs (id, body) VALUES (?, ?)", id, body);
  }
}

export default {
  async fetch(request, env) {
    const stubOf = (shard) => env.STORE.get(env.STORE.idFromName(`shard-${shard}`));
    if (request.method === "GET") {
      const id = new URL(request.url).pathname.split("/").pop();
      return stubOf(id.split("-", 1)[0]).fetch(`http://shard/${id}`);
    }
    const shard = Math.floor(Math.random() * env.SHARD_COUNT);
    const id = `${shard}-${crypto.randomUUID()}`;
    const stored = await stubOf(shard).fetch(`http://shard/${id}`, { method: "POST", body: request.body });
    if (!stored.ok) return new Response("not stored\n", { status: 500 });
    const document = `/jobs/${id}`;
    return Response.json(
      { id, status: "queued" },
      { status: 202, headers: { Location: `${document}/result`, "Operation-Location": document, "Retry-After": "1" } },
    );
  },
};
