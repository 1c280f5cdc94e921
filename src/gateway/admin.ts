import type { JsonObject } from "@bufbuild/protobuf";
import type { Log } from "../log.ts";
import type { Watchable } from "../watchable.ts";
import { adminCommands } from "./admin/admin-commands.ts";
import { serveCommands } from "./admin/admin-server.ts";
import { helpText } from "./admin/home-page.ts";
import type { AdminNode } from "./admin/server-info.ts";
import type { RunningGateway } from "./gateway.ts";
import type { GatewayConfig } from "./gateway-config.ts";

export interface AdminOptions {
  readonly gateway: RunningGateway;
  /** What was received; in effect is what `gateway` says. */
  readonly config: Watchable<GatewayConfig>;
  readonly bind: string;
  /** 0 for any free port. */
  readonly port: number;
  readonly version: string;
  readonly node: AdminNode;
  /** Ends the pages. */
  readonly signal: AbortSignal;
  /** Its level follows `/logging`. */
  readonly log?: Log;
  readonly drainSeconds?: number;
  readonly threads?: number;
  /** What there is of a bootstrap, as JSON, for `/config_dump`. */
  readonly bootstrap?: JsonObject;
  /** The stream of ADS is there. */
  readonly isConnected?: () => boolean;
  /** `/quitquitquit`; unless given, the program gets the SIGTERM that ends it. */
  readonly onQuit?: () => void;
}

/**
 * Serves Envoy's admin paths in Envoy's shapes. Resolves with the port.
 * @throws SystemError("network") where the address is taken or not this machine's
 */
export function serveAdmin(options: AdminOptions): Promise<number> {
  const { bind, port, signal } = options;
  const commands = adminCommands(options);
  const notFound = () => ({ body: `invalid path. ${helpText(commands)}` });
  return serveCommands({ bind, port, signal, commands, notFound });
}
