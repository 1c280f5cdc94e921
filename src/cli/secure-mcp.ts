import type { Command } from "commander";
import type { CoreOptions } from "../core/core.ts";
import type { Log } from "../log.ts";
import type { ClientTls } from "../xds/client-credentials.ts";
import { addKubernetesAccessOptions, type KubernetesAccessFlags } from "./kubernetes-access.ts";
import { addOption, addPort, type CommonOptions, withOffset } from "./options.ts";
import { admitBy, loopback } from "./secure-port.ts";

/** How core serves discoveries on other machines. */
export interface SecureMcpFlags extends CommonOptions, KubernetesAccessFlags {
  readonly mcpBind: string | undefined;
  readonly secureMcpPort: number;
  readonly mcpTlsCert: string | undefined;
  readonly mcpTlsKey: string | undefined;
  readonly mcpTokenAudience: string;
}

/** How discovery reaches a core on another machine. */
export interface CoreAccessFlags {
  readonly coreCa: string | undefined;
  readonly coreTokenFile: string | undefined;
}

export function addSecureMcpOptions(command: Command): void {
  addPort(command, "secure-mcp-port", 15052, "core's gRPC over TLS, where --mcp-tls-cert is given: MCP");
  addOption(
    command,
    "--mcp-tls-cert <file>",
    "serve MCP over TLS with this certificate (PEM) to who sends a ServiceAccount's token of --namespace that the Kubernetes API confirms",
  );
  addOption(command, "--mcp-tls-key <file>", "the key of --mcp-tls-cert (PEM)");
  addOption(
    command,
    "--mcp-bind <address>",
    "address of the plaintext port; --bind unless given, and 127.0.0.1 with --mcp-tls-cert",
  );
  addOption(
    command,
    "--mcp-token-audience <name>",
    "what tokens must be made for; another one than gateways have, since MCP holds every Secret that is referred to",
    (option) => option.default("wasmline-core"),
  );
  addKubernetesAccessOptions(command);
}

/**
 * What the flags say.
 * @throws SystemError("not-found") where they name no cluster that could review tokens
 */
export async function secureMcpOf(
  flags: SecureMcpFlags,
  log: Log,
  command: Command,
): Promise<Pick<CoreOptions, "xdsBind" | "secure">> {
  const { mcpTlsCert: cert, mcpTlsKey: key, mcpBind, mcpTokenAudience, bind } = flags;
  if ((cert === undefined) !== (key === undefined))
    command.error("error: --mcp-tls-cert and --mcp-tls-key are given together");
  if (cert === undefined || key === undefined) {
    if (!isLoopback(mcpBind ?? bind))
      log.warn(
        { bind: mcpBind ?? bind },
        "MCP, and with it every Secret that is referred to, is served in plaintext to whoever can connect: see --mcp-tls-cert and --mcp-bind",
      );
    return { xdsBind: mcpBind };
  }
  const admit = await admitBy(flags, [mcpTokenAudience], log);
  const port = withOffset(flags, flags.secureMcpPort);
  return { xdsBind: mcpBind ?? loopback, secure: { port, bind, certificate: { cert, key }, admit } };
}

function isLoopback(address: string): boolean {
  return address.startsWith("127.") || address === "::1" || address === "localhost";
}

export function addCoreAccessOptions(command: Command): void {
  addOption(
    command,
    "--core-ca <file>",
    "speak TLS with core and trust these certificate authorities (PEM); the file is read again when it changes",
  );
  addOption(
    command,
    "--core-token-file <path>",
    "a ServiceAccount's token that proves discovery to core, over TLS only; read for each connection",
  );
}

/** What the flags say of TLS with core, undefined for plaintext. */
export function coreTlsOf(
  { coreCa, coreTokenFile }: CoreAccessFlags,
  command: Command,
): ClientTls | undefined {
  if (coreCa !== undefined) return { caFile: coreCa, tokenFile: coreTokenFile };
  if (coreTokenFile === undefined) return undefined;
  return command.error("error: --core-token-file needs --core-ca: a token is not sent in plaintext");
}
