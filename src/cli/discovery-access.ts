import type { Command } from "commander";
import type { ClientTls } from "../xds/client-credentials.ts";
import { addOption } from "./options.ts";

/** How an agent reaches discovery on another machine. */
export interface DiscoveryAccessFlags {
  readonly discovery: string | undefined;
  readonly discoveryCa?: string;
  readonly tokenFile?: string;
}

/** Where Kubernetes puts the token that Istio's agent sends, and its chart's ours. */
export function addDiscoveryAccessOptions(command: Command): void {
  addOption(
    command,
    "--discovery <host:port>",
    "discovery's ADS, several separated by commas; port 15010 with the offset on this machine unless given",
  );
  addOption(
    command,
    "--discovery-ca <file>",
    "speak TLS with discovery and trust these certificate authorities (PEM); the file is read again when it changes",
  );
  addOption(
    command,
    "--token-file <path>",
    "a ServiceAccount's token that proves this gateway to discovery, over TLS only; read for each connection",
  );
}

/** What the flags say of TLS, undefined for plaintext. */
export function discoveryTlsOf(
  { discoveryCa, tokenFile }: DiscoveryAccessFlags,
  command: Command,
): ClientTls | undefined {
  if (discoveryCa !== undefined) return { caFile: discoveryCa, tokenFile };
  if (tokenFile === undefined) return undefined;
  return command.error("error: --token-file needs --discovery-ca: a token is not sent in plaintext");
}
