// A Worker that only stores a large body in the bucket. The gateway's memory is compared with what the runtime,
// with its simulated bucket, uses for that.

import { DurableObject } from "cloudflare:workers";

export class ShardObject extends DurableObject {}

export default {
  async fetch(request, env) {
    if (request.body === null) return new Response("ready");
    await env.BUCKET.put("body", request.body);
    return new Response("stored");
  },

  queue() {},
};
