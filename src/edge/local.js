// What `npm start` runs instead of the Worker itself: the same Worker, which it can ask to begin nothing new and how many
// jobs still run, so that Ctrl-C cuts none short that is about to end. Never deployed. JavaScript, because the
// events go to the Worker's own handlers unchanged.

import worker, { ShardObject } from "./index.js";

export { ShardObject };

/** How many jobs the messages name whose handling has not ended. */
let running = 0;
/** Whether new messages are handed back. */
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
    // The path is a secret of this run.
    if (env.LOCAL_STOP && request.url.endsWith(env.LOCAL_STOP)) {
      stopping = true;
      return Response.json({ running });
    }
    return worker.fetch(request, env, context);
  },

  async queue(batch, env, context) {
    // Their jobs are stored; at the next start the shards send them again.
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
