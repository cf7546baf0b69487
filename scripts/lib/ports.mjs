// Ports on the loopback interface.

import { once } from "node:events";
import { createServer } from "node:net";

export const HOST = "127.0.0.1";

async function listen(port) {
  // Connections that come too early are closed.
  const server = createServer((socket) => socket.destroy());
  server.listen(port, HOST);
  await once(server, "listening");
  return server.unref();
}

/**
 * Reserves `port` until the returned function is called. Returns `undefined` if the port is in use.
 */
export async function holdPort(port) {
  const server = await listen(port).catch(() => undefined);
  if (server === undefined) return undefined;
  return async () => {
    server.close();
    await once(server, "close");
  };
}
