// Replaces the R2 bucket. The benchmark's bodies are small enough for the shard, so every call here is a
// mistake: it is counted and rejected.
let calls = 0;

export default {
  fetch(request) {
    if (new URL(request.url).pathname === "/__counts") return Response.json({ calls });
    calls += 1;
    const error = JSON.stringify({ version: 1, v4code: 10001, message: "the benchmark has no bucket" });
    return new Response(null, { status: 500, headers: { "cf-r2-error": error } });
  },
};
