import { type CertificateFiles, type WatchOptions, watchServerCertificate } from "./certificate-files.ts";
import { type ListenOptions, listenXds } from "./listen.ts";
import type { Admit, XdsServer } from "./server.ts";

/** A port for other machines. */
export interface SecurePort {
  /** 0 for any free one. */
  readonly port: number;
  readonly bind: string;
  readonly certificate: CertificateFiles;
  /** Who is admitted; everybody unless given, and then as one who has proved nothing. */
  readonly admit?: Admit | undefined;
}

/**
 * Serves xDS over TLS until the signal aborts. Resolves with the port once it listens.
 * @throws SystemError("disk") where the certificate cannot be used, `network` where the address cannot be listened on
 */
export async function listenSecurely(
  xds: XdsServer,
  { port, bind, certificate, admit }: SecurePort,
  watching: WatchOptions,
  options: Pick<ListenOptions, "maxConnectionAgeMs" | "draining"> = {},
): Promise<number> {
  const credentials = await watchServerCertificate(certificate, watching);
  return listenXds(xds, bind, port, watching.signal, { ...options, credentials, admit });
}
