import { readFile } from "node:fs/promises";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import { type experimental, ServerCredentials } from "@grpc/grpc-js";
import type { Log } from "../log.ts";
import { errorText, SystemError } from "../system-error.ts";
import { watchFile } from "../watch-file.ts";

/** Files in PEM: a certificate (with its chain) and its key. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

export interface WatchOptions {
  readonly log: Log;
  readonly signal: AbortSignal;
}

/**
 * A server's certificate from files, read again when they change: mounted Secrets rotate. Connections that are there stay;
 * files that cannot be used change nothing.
 * @throws SystemError("disk") where they cannot be used from the beginning
 */
export async function watchServerCertificate(
  { cert, key }: CertificateFiles,
  options: WatchOptions,
): Promise<ServerCredentials> {
  const read = async () => ({ cert: await readFile(cert), key: await readFile(key) });
  const credentials = new ReplaceableCredentials(await readContext(read, "the certificate", [cert, key]));
  followFiles([cert, key], "the certificate", read, (context) => credentials.replace(context), options);
  return credentials;
}

/**
 * Certificate authorities from a file, for a client; read again when it changes.
 * @throws SystemError("disk") where it cannot be used from the beginning
 */
export async function watchAuthorities(
  file: string,
  options: WatchOptions,
): Promise<experimental.CertificateProvider> {
  const read = async () => ({ ca: await readFile(file) });
  let ca = (await readContext(read, "the authorities", [file])).ca;
  const listeners = new Set<experimental.CaCertificateUpdateListener>();
  followFiles(
    [file],
    "the authorities",
    read,
    (next) => {
      ca = next.ca;
      for (const listener of listeners) listener({ caCertificate: ca });
    },
    options,
  );
  return {
    addCaCertificateListener(listener) {
      listeners.add(listener);
      listener({ caCertificate: ca });
    },
    removeCaCertificateListener: (listener) => void listeners.delete(listener),
    // A client here proves itself by a token.
    addIdentityCertificateListener: (listener) => listener(null),
    removeIdentityCertificateListener() {},
  };
}

/** A server's credentials whose certificate can be replaced while it serves. */
class ReplaceableCredentials extends ServerCredentials {
  constructor(context: SecureContextOptions) {
    super({ minVersion: "TLSv1.2" }, context);
  }

  replace(context: SecureContextOptions): void {
    this.updateSecureContextOptions(context);
  }

  _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

async function readContext<T extends SecureContextOptions>(
  read: () => Promise<T>,
  what: string,
  files: readonly string[],
): Promise<T> {
  try {
    const context = await read();
    createSecureContext(context);
    return context;
  } catch (error) {
    throw SystemError.from(error, "disk", `${what} of ${files.join(" and ")} cannot be used`);
  }
}

function followFiles<T extends SecureContextOptions>(
  files: readonly string[],
  what: string,
  read: () => Promise<T>,
  take: (context: T) => void,
  { log, signal }: WatchOptions,
): void {
  const reload = () =>
    readContext(read, what, files).then(
      (context) => {
        take(context);
        log.info({ files }, `${what} was read again`);
      },
      (error) => log.warn({ error: errorText(error) }, `${what} stays as it was`),
    );
  for (const file of files) void watchFile(file, () => void reload(), signal);
}
