// The demo origin: an API with slow, flaky, streaming and large endpoints, to try Raincheck with.
// It knows nothing about jobs, except that /flaky counts attempts.

import { createServer } from "node:http";
import { parseArgs } from "node:util";

import { WebSocketServer } from "ws";

import { answer, sendJson } from "./http.mjs";
import { download, flaky, hello, slow, stream } from "./endpoints.mjs";

const HOST = "127.0.0.1";
const HELP = `
npm run demo [-- OPTIONS]: an API to try Raincheck with, on ${HOST}.

  --port N         listen on this port (default: 8788; 0: any free port)
  --or-any-port    use any free port if that one is in use

  POST /reports?seconds=S&status=C&bytes=N  after S seconds: status C with an echo of the request, or N bytes
  POST /generate?seconds=S                  the same
  POST /flaky?fail=K                        503 for the first K attempts of a job, then 200
  GET  /hello                               a greeting
  GET  /stream?events=N&interval=S          N server-sent events, S seconds apart
  GET  /download?bytes=N                    N bytes
  GET  /echo                                a WebSocket that echoes messages
`;

const ROUTES = new Map([
  ["/hello", { GET: hello }],
  ["/stream", { GET: stream }],
  ["/download", { GET: download }],
  ["/reports", { POST: slow }],
  ["/generate", { POST: slow }],
  ["/flaky", { POST: flaky }],
]);

async function route(request, response) {
  const url = new URL(request.url, `http://${HOST}`);
  const methods = ROUTES.get(url.pathname);
  if (!methods) {
    return sendJson(response, 404, { error: `There is no ${url.pathname} here.`, paths: [...ROUTES.keys(), "/echo"] });
  }
  const handler = methods[request.method === "HEAD" ? "GET" : request.method];
  if (!handler) {
    response.setHeader("allow", Object.keys(methods).flatMap((name) => (name === "GET" ? ["GET", "HEAD"] : name)).join(", "));
    return sendJson(response, 405, { error: `${url.pathname} does not support ${request.method}.` });
  }
  await handler(request, response, url.searchParams);
}

function serve() {
  const server = createServer(answer(route));
  // Allows slow uploads, which some users come to try.
  server.requestTimeout = 0;
  const sockets = new WebSocketServer({ noServer: true });
  server.on("upgrade", (request, socket, head) => {
    if (new URL(request.url, `http://${HOST}`).pathname !== "/echo") {
      socket.end("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
      return;
    }
    sockets.handleUpgrade(request, socket, head, (client) => {
      console.log("demo origin: WebSocket opened");
      client.on("message", (data, binary) => client.send(data, { binary }));
      client.on("error", () => client.terminate());
    });
  });
  return server;
}

const { values } = parseArgs({
  options: { port: { type: "string", default: "8788" }, "or-any-port": { type: "boolean" }, help: { type: "boolean", short: "h" } },
});
if (values.help) {
  console.log(HELP.trim());
} else if (!/^\d{1,5}$/.test(values.port) || values.port > 65535) {
  console.error(`--port is ${JSON.stringify(values.port)}; it must be a number from 0 to 65535 (0: any free one).`);
  process.exitCode = 1;
} else {
  const port = Number(values.port);
  const server = serve();
  server
    .on("error", (error) => {
      const busy = error.code === "EADDRINUSE";
      if (busy && values["or-any-port"]) return server.listen(0, HOST);
      console.error(busy ? `Port ${port} is in use; choose another with --port.` : error.message);
      process.exit(1);
    })
    .listen(port, HOST, function () {
      console.log(`demo origin: http://${HOST}:${this.address().port}`);
    });
}
