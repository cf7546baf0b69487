// Ports on the loopback interface.

import { once } from "node:events";
import { createServer } from "node:net";

export const HOST = "127.0.0.1";

async function listen(port) {
  // Whoever comes too early is sent away.
  const server = createServer((socket) => socket.destroy());
  server.listen(port, HOST);
  await once(server, "listening");
  return server.unref();
}

/**
 * Keeps `port` from everybody else until the function that it returns is called; `undefined` when somebody has it
 * already.
 */
export async function holdPort(port) {
  const server = await listen(port).catch(() => undefined);
  if (server === undefined) return undefined;
  return async () => {
    server.close();
    await once(server, "close");
  };
}
