import type { Command } from "commander";
import { readAuthorities } from "../oci/authorities.ts";
import { createConnections } from "../oci/connections.ts";
import type { RegistryClientOptions } from "../oci/registry-client.ts";
import { addOption, collect, pair } from "./options.ts";

export interface RegistryFlags {
  readonly insecureRegistry: readonly string[] | undefined;
}

/** What pulling images needs to know. */
export function addInsecureRegistry(command: Command): void {
  addOption(
    command,
    "--insecure-registry <host>",
    "a registry that is spoken to without TLS; may be repeated",
    (option) => option.argParser(collect),
  );
}

export function registryOptions({ insecureRegistry = [] }: RegistryFlags): RegistryClientOptions {
  return { insecureRegistries: insecureRegistry };
}

export interface ConnectionFlags extends RegistryFlags {
  readonly registryCa: readonly string[] | undefined;
  readonly registrySkipVerify: readonly string[] | undefined;
  readonly allowPrivateRedirects: "true" | "false" | undefined;
}

/** How any registry is connected to. */
export function addConnectionOptions(command: Command): void {
  addInsecureRegistry(command);
  addOption(
    command,
    "--registry-ca <host=file>",
    "certificate authorities (PEM) that are trusted for a registry beside Node's own; may be repeated",
    (option) => option.argParser(collect),
  );
  addOption(
    command,
    "--registry-skip-verify <host>",
    "a registry whose TLS certificate is not looked at; may be repeated",
    (option) => option.argParser(collect),
  );
  addOption(
    command,
    "--allow-private-redirects [answer]",
    "registries may redirect, or send for tokens, to addresses nearer to this machine than their own",
    (option) => option.choices(["true", "false"]).preset("true"),
  );
}

/** @throws SystemError `disk` for certificate authorities that cannot be read */
export async function connectionOptions(flags: ConnectionFlags): Promise<RegistryClientOptions> {
  const files = new Map((flags.registryCa ?? []).map(pair).map(({ key, value }) => [key, value]));
  const connections = createConnections({
    authorities: await readAuthorities(files),
    unverifiedHosts: flags.registrySkipVerify,
    allowPrivateRedirects: flags.allowPrivateRedirects === "true",
  });
  return { ...registryOptions(flags), connections };
}
