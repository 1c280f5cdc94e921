import type { ChannelCredentials } from "@grpc/grpc-js";
import type { Node } from "../gen/envoy/config/core/v3/base_pb.ts";
import type { Log } from "../log.ts";
import { errorText } from "../system-error.ts";
import { followServer, type Refusals, type TypeUpdate } from "../xds/client.ts";
import { emptyIstioConfigSet, type IstioConfig, type IstioConfigSet, type IstioKind } from "./config.ts";
import { kinds } from "./kinds.ts";
import { decodeMcp, mcpName } from "./mcp.ts";

export interface FollowCoreOptions {
  readonly target: string;
  /** Plaintext unless given. */
  readonly credentials?: ChannelCredentials | undefined;
  readonly mode: "incremental" | "state-of-the-world";
  readonly node: Node;
  /** Called with the whole state: first when every kind was answered, then with each change. */
  readonly onConfig: (config: IstioConfigSet) => void;
  readonly signal: AbortSignal;
  readonly log: Log;
}

/**
 * Follows a core (ours, or Higress') over MCP. What was received stays while core is away. A resource that cannot be
 * read is refused, and its last good version stays.
 */
export function followCore({ onConfig, log, ...options }: FollowCoreOptions): void {
  // Higress' core knows no Secrets, and might leave the type without the answer that is waited for.
  const asked = (Object.keys(kinds) as IstioKind[]).filter(
    (kind) => kind !== "Secret" || options.mode === "incremental",
  );
  const byTypeUrl = new Map(asked.map((kind) => [kinds[kind].mcpTypeUrls[0], kind]));
  const received = new Map<IstioKind, Map<string, IstioConfig>>();
  let config: IstioConfigSet = emptyIstioConfigSet;

  function onUpdate({ typeUrl, changed, removed }: TypeUpdate): Refusals {
    const kind = byTypeUrl.get(typeUrl)!;
    const known = received.get(kind) ?? new Map<string, IstioConfig>();
    const first = !received.has(kind);
    received.set(kind, known);
    const refused = new Map<string, string>();
    for (const { name, value } of changed) {
      try {
        known.set(name, decodeMcp(kind, value));
      } catch (error) {
        refused.set(name, errorText(error));
      }
    }
    for (const name of removed) known.delete(name);
    const altered = changed.length > refused.size || removed.length > 0;
    if (altered) config = { ...config, [kind]: sorted(known) };
    const complete = received.size === byTypeUrl.size;
    if (complete && (first || altered)) onConfig(config);
    return refused;
  }

  followServer({ ...options, typeUrls: [...byTypeUrl.keys()], nameOf: mcpName, onUpdate, log });
}

/** In the order of names, whatever the order of arrival. */
function sorted(configs: ReadonlyMap<string, IstioConfig>): IstioConfig[] {
  return [...configs.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, config]) => config);
}
