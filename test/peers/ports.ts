import { createServer } from "node:net";

/** Ports of all roles, as the interface page lists them; `up` adds the offset to each. */
const rolePorts = [5080, 8080, 8443, 8888, 15000, 15010, 15012, 15014, 15020, 15051, 15052];

/** Above these ports Linux takes those of connections, at any moment. */
const maxOffset = 32_767 - Math.max(...rolePorts);

/** An offset at which every role's port is free on 127.0.0.1. */
export async function freePortOffset(): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const offset = 1000 + Math.floor(Math.random() * (maxOffset - 1000));
    const free = await Promise.all(rolePorts.map((port) => isFree(port + offset)));
    if (free.every(Boolean)) return offset;
  }
  throw new Error("no offset found at which all ports are free");
}

/** Any free port on 127.0.0.1. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}

function isFree(port: number): Promise<boolean> {
  if (port > 65535) return Promise.resolve(false);
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
