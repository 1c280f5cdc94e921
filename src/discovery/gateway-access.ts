import { networkInterfaces } from "node:os";
import { status } from "@grpc/grpc-js";
import type { Node } from "../gen/envoy/config/core/v3/base_pb.ts";
import type { Identity } from "../xds/server.ts";
import { StreamRefusal } from "../xds/stream-refusal.ts";
import { namespaceOf, type SecretAccess } from "./proxy.ts";

export interface AccessOptions {
  /** Gateways here front everything, and may have Secrets of every namespace. */
  readonly rootNamespace: string;
  /** Whose gateways are served once they have proved themselves, `*` for all; those of the root namespace always are. */
  readonly gatewayNamespaces: readonly string[];
  /** Whether gateways on other machines must have proved themselves. */
  readonly requireAuthentication: boolean;
}

/**
 * Which Secrets a gateway may have, by who it has proved to be; without proof, by whether it is on this machine: a
 * connection without it proves nothing about another.
 * @throws StreamRefusal where it gets nothing at all
 */
export function secretAccess(
  node: Node,
  peer: string,
  identity: Identity | undefined,
  options: AccessOptions,
): SecretAccess {
  if (identity) return accessOfProven(node, identity, options);
  if (isLocal(peer)) return "all";
  if (!options.requireAuthentication) return "none";
  throw new StreamRefusal(
    status.UNAUTHENTICATED,
    "a gateway on another machine must prove itself: connect over TLS with a ServiceAccount's token",
  );
}

function accessOfProven(
  node: Node,
  { namespace, serviceAccount }: Identity,
  { rootNamespace, gatewayNamespaces }: AccessOptions,
): SecretAccess {
  const deny = (reason: string) => {
    throw new StreamRefusal(status.PERMISSION_DENIED, reason);
  };
  const claimed = claimedNamespaces(node).find((other) => other !== namespace);
  if (claimed !== undefined)
    deny(
      `the node says that it is in the namespace ${JSON.stringify(claimed)}, its token is of ${namespace}/${serviceAccount}`,
    );
  const account = node.metadata?.SERVICE_ACCOUNT;
  if (typeof account === "string" && account !== "" && account !== serviceAccount)
    deny(
      `the node says that its ServiceAccount is ${JSON.stringify(account)}, its token is of ${namespace}/${serviceAccount}`,
    );
  if (namespace === rootNamespace) return "all";
  if (!gatewayNamespaces.includes(namespace) && !gatewayNamespaces.includes("*"))
    deny(`gateways of the namespace ${namespace} are not served here (--gateway-namespace)`);
  return "own-namespace";
}

/** Every namespace that a node says it is in: what discovery goes by, and its id where it has Istio's four parts. */
function claimedNamespaces(node: Node): string[] {
  const domain = node.id.split("~")[3]?.split(".")[0];
  return [namespaceOf(node), ...(domain ? [domain] : [])];
}

/** Whether an address (`ip:port` or `unix:`) is this machine's. */
export function isLocal(peer: string): boolean {
  const address = peer
    .replace(/:\d+$/, "")
    .replace(/^\[|\]$/g, "")
    .replace(/^::ffff:/, "");
  if (peer.startsWith("unix:") || address.startsWith("127.")) return true;
  const own = Object.values(networkInterfaces()).flatMap((interfaces) => interfaces ?? []);
  return own.some((entry) => entry.address === address);
}
