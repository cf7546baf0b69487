// An origin that is a Worker, bound to the gateway as a service: responds with what it received.

export default {
  async fetch(request) {
    const query = new URL(request.url).searchParams;
    if (query.has("throws")) throw new Error("the service fails");
    const body = await request.arrayBuffer();
    const sha256 = new Uint8Array(await crypto.subtle.digest("SHA-256", body));
    const seen = {
      method: request.method,
      url: request.url,
      fields: Object.fromEntries(request.headers),
      length: body.byteLength,
      sha256: [...sha256].map((byte) => byte.toString(16).padStart(2, "0")).join(""),
    };
    return Response.json(seen, { status: Number(query.get("status") ?? 200), headers: { "x-service": "bound" } });
  },
};
