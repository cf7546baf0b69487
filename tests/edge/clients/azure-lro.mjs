// Drives a job with the poller of the Azure SDKs, unmodified: @azure/core-lro on
// @azure-rest/core-client, put together as their generated clients do it.
//
//     node azure-lro.mjs GATEWAY PATH [cancel]
//
// POSTs to PATH, polls to the end, and prints one line of JSON: the states that the poller showed,
// and the result or the error. With `cancel`, the job is deleted once it is seen running.

import { getClient } from "@azure-rest/core-client";
import { createHttpPoller } from "@azure/core-lro";

const [gateway, path, cancel] = process.argv.slice(2);
const client = getClient(gateway, { allowInsecureConnection: true, retryOptions: { maxRetries: 0 } });

/** What the poller wants to know of a response. */
function toPoller(response) {
  return {
    flatResponse: response.body,
    rawResponse: {
      statusCode: Number(response.status),
      headers: response.headers,
      body: response.body,
      request: { method: response.request.method, url: response.request.url },
    },
  };
}

const poller = createHttpPoller(
  {
    sendInitialRequest: async () =>
      toPoller(await client.pathUnchecked(path).post({ body: { report: 7 }, contentType: "application/json" })),
    sendPollRequest: async (url, options) => toPoller(await client.pathUnchecked(url).get(options)),
  },
  { intervalInMs: 100 },
);

const states = [];
let canceling;
poller.onProgress((state) => {
  if (states.at(-1) !== state.status) states.push(state.status);
  if (cancel && state.status === "running") {
    // A request of this client is sent once somebody waits for it.
    canceling ??= client.pathUnchecked(state.config.operationLocation).delete().then((response) => response);
  }
});

const outcome = {};
try {
  outcome.result = await poller.pollUntilDone();
} catch (error) {
  outcome.error = { code: error.code, message: error.message };
}
outcome.cancel = Number((await canceling)?.status) || undefined;
outcome.states = states;
outcome.final = poller.operationState?.status;
console.log(JSON.stringify(outcome));
