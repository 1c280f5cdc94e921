import { status } from "@grpc/grpc-js";
import { type Command, InvalidArgumentError } from "commander";
import type { McpSecurity } from "../core/core.ts";
import { createTokenAdmission } from "../discovery/authenticate.ts";
import type { Log } from "../log.ts";
import type { ClientTls } from "../xds/client-credentials.ts";
import type { Admit } from "../xds/server.ts";
import { StreamRefusal } from "../xds/stream-refusal.ts";
import { connectByFlags, type KubernetesAccessFlags } from "./kubernetes-access.ts";
import { addOption, collect } from "./options.ts";

/** How core serves a discovery on another machine. */
export interface McpServerFlags extends KubernetesAccessFlags {
  readonly mcpTlsCert: string | undefined;
  readonly mcpTlsKey: string | undefined;
  readonly mcpClient: readonly string[] | undefined;
  readonly mcpTokenAudience: string;
}

/** How discovery reaches a core on another machine. */
export interface McpClientFlags {
  readonly coreCa: string | undefined;
  readonly coreTokenFile: string | undefined;
}

export function addMcpServerOptions(command: Command): void {
  addOption(
    command,
    "--mcp-tls-cert <file>",
    "serve MCP over TLS with this certificate (PEM); read again when it changes",
  );
  addOption(command, "--mcp-tls-key <file>", "the key of --mcp-tls-cert (PEM)");
  addOption(
    command,
    "--mcp-client <namespace/name>",
    "serve MCP, which holds Secrets, to nobody but who proves by a token to be this ServiceAccount; may be repeated",
    (option) => option.argParser(collectAccount),
  );
  addOption(command, "--mcp-token-audience <name>", "what those tokens must be made for", (option) =>
    option.default("wasmline-core"),
  );
}

export function addMcpClientOptions(command: Command): void {
  addOption(command, "--core-ca <file>", "speak TLS with core and trust these certificate authorities (PEM)");
  addOption(
    command,
    "--core-token-file <path>",
    "a ServiceAccount's token that proves this discovery to core, over TLS only",
  );
}

/** What the flags say, undefined for plaintext. @throws SystemError("not-found") where they name no cluster to ask about tokens */
export async function mcpSecurityOf(
  flags: McpServerFlags,
  log: Log,
  command: Command,
): Promise<McpSecurity | undefined> {
  const { mcpTlsCert: cert, mcpTlsKey: key, mcpClient: accounts, mcpTokenAudience } = flags;
  if ((cert === undefined) !== (key === undefined))
    command.error("error: --mcp-tls-cert and --mcp-tls-key are given together");
  if (cert === undefined || key === undefined) {
    if (accounts)
      command.error("error: --mcp-client needs --mcp-tls-cert: tokens are not taken in plaintext");
    return undefined;
  }
  if (!accounts) return { certificate: { cert, key } };
  const kubernetes = await connectByFlags(flags);
  const admission = createTokenAdmission({ kubernetes, audiences: [mcpTokenAudience], log });
  return { certificate: { cert, key }, admit: admitOnly(accounts, admission) };
}

/** What the flags say of TLS with core, undefined for plaintext. */
export function coreTlsOf(
  { coreCa, coreTokenFile }: McpClientFlags,
  command: Command,
): ClientTls | undefined {
  if (coreCa !== undefined) return { caFile: coreCa, tokenFile: coreTokenFile };
  if (coreTokenFile === undefined) return undefined;
  return command.error("error: --core-token-file needs --core-ca: a token is not sent in plaintext");
}

/** Of those who prove who they are, admits these ServiceAccounts. */
function admitOnly(accounts: readonly string[], admit: Admit): Admit {
  return async (metadata, peer) => {
    const identity = await admit(metadata, peer);
    const account = `${identity?.namespace}/${identity?.serviceAccount}`;
    if (accounts.includes(account)) return identity;
    throw new StreamRefusal(status.PERMISSION_DENIED, `${account} is not served here (--mcp-client)`);
  };
}

function collectAccount(text: string, previous: readonly string[] | undefined): readonly string[] {
  const accounts = collect(text, previous);
  for (const account of accounts)
    if (!/^[^/\s]+\/[^/\s]+$/.test(account)) throw new InvalidArgumentError("Expected NAMESPACE/NAME.");
  return accounts;
}
