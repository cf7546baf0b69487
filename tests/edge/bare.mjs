// The least that a Worker can do with a large body: hand it to the bucket. What memory the runtime takes
// for that, with its simulated bucket, is what the gateway's own is compared with.

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
