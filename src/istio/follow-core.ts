import type { ChannelCredentials } from "@grpc/grpc-js";
import type { Node } from "../gen/envoy/config/core/v3/base_pb.ts";
import type { Log } from "../log.ts";
import { createSortedValues, type SortedValues } from "../sorted-values.ts";
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
  const received = new Map<IstioKind, SortedValues<IstioConfig>>();
  let config: IstioConfigSet = emptyIstioConfigSet;

  function onUpdate({ typeUrl, changed, removed }: TypeUpdate): Refusals {
    const kind = byTypeUrl.get(typeUrl)!;
    const known = received.get(kind) ?? createSortedValues<IstioConfig>();
    const first = !received.has(kind);
    received.set(kind, known);
    const refused = new Map<string, string>();
    const taken = new Map<string, IstioConfig>();
    for (const { name, value } of changed) {
      try {
        taken.set(name, decodeMcp(kind, value));
      } catch (error) {
        refused.set(name, errorText(error));
      }
    }
    const altered = taken.size > 0 || removed.length > 0;
    // In the order of names, whatever the order of arrival.
    if (altered) config = { ...config, [kind]: known.update(taken, removed) };
    const complete = received.size === byTypeUrl.size;
    if (complete && (first || altered)) onConfig(config);
    return refused;
  }

  followServer({ ...options, typeUrls: [...byTypeUrl.keys()], nameOf: mcpName, onUpdate, log });
}
