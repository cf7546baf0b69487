// The floor: the runtime's own cost of a response.
export default {
  fetch() {
    return new Response("hello\n");
  },
};
