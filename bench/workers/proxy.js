// The least a Worker in front of an origin can do. Every outbound request of the harness goes to the
// origin process, whatever its host, so nothing has to be rewritten.
export default {
  fetch(request) {
    return fetch(request, { redirect: "manual" });
  },
};
