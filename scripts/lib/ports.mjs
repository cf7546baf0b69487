// Ports on the loopback interface.

import { once } from "node:events";
import { createServer } from "node:net";

export const HOST = "127.0.0.1";

async function tryPort(port) {
  const server = createServer();
  server.listen(port, HOST);
  await once(server, "listening");
  const found = server.address().port;
  server.close();
  await once(server, "close");
  return found;
}

/** Whether nobody listens on `port`. */
export function isFree(port) {
  return tryPort(port).then(
    () => true,
    () => false,
  );
}

/** `preferred` where it is free, else a port that the system picks. */
export async function freePort(preferred) {
  return (await isFree(preferred)) ? preferred : tryPort(0);
}
