import { Server, ServerCredentials } from "@grpc/grpc-js";
import { SystemError } from "../system-error.ts";
import { grpcOptions } from "./ads.ts";
import type { XdsServer } from "./server.ts";

/**
 * Serves xDS in plaintext until the signal aborts. Resolves with the port once it listens.
 * @param port 0 for any free port
 * @throws SystemError("network") where the address is taken or not this machine's
 */
export function listenXds(xds: XdsServer, bind: string, port: number, signal: AbortSignal): Promise<number> {
  const server = new Server(grpcOptions);
  server.addService(xds.definition, xds.implementation);
  signal.addEventListener("abort", () => server.forceShutdown());
  return new Promise((resolve, reject) => {
    const address = bind.includes(":") ? `[${bind}]:${port}` : `${bind}:${port}`;
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) =>
      error
        ? reject(new SystemError("network", `cannot listen on ${address}: ${error.message}`, error))
        : resolve(bound),
    );
  });
}
