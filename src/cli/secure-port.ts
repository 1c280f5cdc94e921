import type { Command } from "commander";
import type { DiscoveryOptions } from "../discovery/discovery.ts";
import { reviewToken } from "../kubernetes/token-review.ts";
import type { Log } from "../log.ts";
import { admitByToken } from "../xds/admit-by-token.ts";
import type { SecurePort } from "../xds/listen-securely.ts";
import type { Admit } from "../xds/server.ts";
import {
  addKubernetesAccessOptions,
  connectByFlags,
  type KubernetesAccessFlags,
} from "./kubernetes-access.ts";
import { addOption, addPort, type CommonOptions, collect, integer, withOffset } from "./options.ts";

/** How discovery serves gateways on other machines. */
export interface SecurePortFlags extends CommonOptions, KubernetesAccessFlags {
  readonly xdsBind: string | undefined;
  readonly securePort: number;
  readonly tlsCert: string | undefined;
  readonly tlsKey: string | undefined;
  readonly tokenReview: boolean | undefined;
  readonly tokenAudience: readonly string[] | undefined;
  readonly gatewayNamespace: readonly string[] | undefined;
  readonly requireAuthentication: boolean | undefined;
  readonly maxConnectionAge: number;
}

/** What Istio's agent has its tokens made for. */
const gatewayAudiences = ["istio-ca"];

export function addSecurePortOptions(command: Command): void {
  addPort(command, "secure-port", 15012, "discovery's gRPC over TLS, where --tls-cert is given: ADS");
  addOption(
    command,
    "--tls-cert <file>",
    "serve ADS over TLS with this certificate (PEM, with its chain); read again when it changes",
  );
  addOption(command, "--tls-key <file>", "the key of --tls-cert (PEM)");
  addOption(
    command,
    "--xds-bind <address>",
    "address of the plaintext port; --bind unless given, and 127.0.0.1 with --tls-cert",
  );
  addOption(
    command,
    "--token-review",
    "admit to the secure port who sends a ServiceAccount's token that the Kubernetes API confirms",
  );
  addOption(
    command,
    "--token-audience <name>",
    "what tokens must be made for; may be repeated (default: istio-ca)",
    (option) => option.argParser(collect),
  );
  addOption(
    command,
    "--gateway-namespace <name>",
    "serve gateways of this namespace too, beside those of --root-namespace; may be repeated, * for all",
    (option) => option.argParser(collect),
  );
  addOption(
    command,
    "--require-authentication",
    "serve nothing to gateways on other machines that have not proved who they are; without it they get all but Secrets",
  );
  addOption(
    command,
    "--max-connection-age <seconds>",
    "end streams in peace when they are as old, so that gateways spread over all replicas; 0 for never",
    (option) => option.default(1800).argParser(integer(0, 2_000_000)),
  );
  addKubernetesAccessOptions(command);
}

type SecureOptions = Pick<
  DiscoveryOptions,
  "xdsBind" | "secure" | "requireAuthentication" | "gatewayNamespaces" | "life"
>;

/**
 * What the flags say.
 * @throws SystemError("not-found") where they name no cluster that could review tokens
 */
export async function secureOptionsOf(
  flags: SecurePortFlags,
  log: Log,
  command: Command,
): Promise<SecureOptions> {
  const { xdsBind, requireAuthentication, gatewayNamespace, maxConnectionAge } = flags;
  const secure = await securePortOf(flags, log, command);
  const maxAgeMs = maxConnectionAge === 0 ? Number.POSITIVE_INFINITY : maxConnectionAge * 1000;
  return {
    xdsBind: xdsBind ?? (secure ? loopback : undefined),
    secure,
    requireAuthentication: requireAuthentication ?? false,
    gatewayNamespaces: gatewayNamespace ?? [],
    life: { maxAgeMs, expiryGraceMs: 10_000 },
  };
}

/** Where plaintext is for who is on the same machine, or in the same pod. */
export const loopback = "127.0.0.1";

async function securePortOf(
  flags: SecurePortFlags,
  log: Log,
  command: Command,
): Promise<SecurePort | undefined> {
  const { tlsCert: cert, tlsKey: key, tokenReview, bind, tokenAudience } = flags;
  if ((cert === undefined) !== (key === undefined))
    command.error("error: --tls-cert and --tls-key are given together");
  if (cert === undefined || key === undefined) {
    if (tokenReview)
      command.error("error: --token-review needs --tls-cert: tokens are not taken in plaintext");
    return undefined;
  }
  if (!tokenReview)
    log.warn(
      {},
      "no --token-review: gateways on the secure port cannot prove who they are, and get no Secrets",
    );
  const admit = tokenReview ? await admitBy(flags, tokenAudience ?? gatewayAudiences, log) : undefined;
  return { port: withOffset(flags, flags.securePort), bind, certificate: { cert, key }, admit };
}

/** Admits whom the cluster of the flags confirms, by a token for one of the audiences. */
export async function admitBy(
  flags: KubernetesAccessFlags,
  audiences: readonly string[],
  log: Log,
): Promise<Admit> {
  const kubernetes = await connectByFlags(flags);
  return admitByToken({ review: (token) => reviewToken(kubernetes, token, audiences), log });
}
