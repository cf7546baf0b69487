// The floor: what the runtime itself takes to answer a request.
export default {
  fetch() {
    return new Response("hello\n");
  },
};
