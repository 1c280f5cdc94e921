import { Server, ServerCredentials } from "@grpc/grpc-js";
import { SystemError } from "../system-error.ts";
import { grpcOptions } from "./ads.ts";
import type { Admit, XdsServer } from "./server.ts";

/** A port for other machines. */
export interface ListenOptions {
  /** Plaintext unless given. */
  readonly credentials?: ServerCredentials;
  /** Who may open a stream; everybody unless given. */
  readonly admit?: Admit;
  /** Connections are told to go when they are as old, in milliseconds, and up to a tenth younger or older. Their streams go on. */
  readonly maxConnectionAgeMs?: number;
  /** No new connections or streams from then on, and those that are there are told so. */
  readonly draining?: AbortSignal;
}

/** One connection's, of which a gateway needs one: whoever is not yet admitted must not open them without end. */
const maxStreams = 100;

/**
 * Serves xDS until the signal aborts. Resolves with the port once it listens.
 * @param port 0 for any free port
 * @throws SystemError("network") where the address is taken or not this machine's
 */
export function listenXds(
  xds: XdsServer,
  bind: string,
  port: number,
  signal: AbortSignal,
  options: ListenOptions = {},
): Promise<number> {
  const { credentials = ServerCredentials.createInsecure(), admit, maxConnectionAgeMs, draining } = options;
  const server = new Server({
    ...grpcOptions,
    "grpc.max_concurrent_streams": maxStreams,
    ...(maxConnectionAgeMs && { "grpc.max_connection_age_ms": maxConnectionAgeMs }),
  });
  server.addService(xds.definition, xds.implement(admit));
  draining?.addEventListener("abort", () => server.tryShutdown(() => {}), { once: true });
  signal.addEventListener("abort", () => server.forceShutdown(), { once: true });
  return new Promise((resolve, reject) => {
    const address = bind.includes(":") ? `[${bind}]:${port}` : `${bind}:${port}`;
    server.bindAsync(address, credentials, (error, bound) =>
      error
        ? reject(new SystemError("network", `cannot listen on ${address}: ${error.message}`, error))
        : resolve(bound),
    );
  });
}
