// The Worker as `npm start` runs it: it can also be told to start no more jobs, and says how many still run, so that
// Ctrl-C lets running attempts end. Never deployed. It is JavaScript so that events go to the Worker's own handlers
// unchanged.

import worker, { ShardObject } from "./index.js";

export { ShardObject };

/** How many jobs are in messages that are being handled. */
let running = 0;
/** Whether new messages are returned to the queue. */
let stopping = false;

function jobsOf(messages) {
  return messages.reduce((sum, { body }) => {
    try {
      return sum + JSON.parse(body).jobs.length;
    } catch {
      return sum;
    }
  }, 0);
}

export default {
  fetch(request, env, context) {
    // The path is secret to this run.
    if (env.LOCAL_STOP && request.url.endsWith(env.LOCAL_STOP)) {
      stopping = true;
      return Response.json({ running });
    }
    return worker.fetch(request, env, context);
  },

  async queue(batch, env, context) {
    // The jobs are stored, and the shards send their messages again at the next start.
    if (stopping) return batch.retryAll();
    const jobs = jobsOf(batch.messages);
    const detached = [];
    running += jobs;
    try {
      await worker.queue(batch, env, {
        waitUntil(promise) {
          detached.push(promise);
          context.waitUntil(promise);
        },
      });
    } finally {
      Promise.allSettled(detached).then(() => (running -= jobs));
    }
  },
};
