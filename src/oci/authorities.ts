import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { SystemError } from "../system-error.ts";

/**
 * Reads files of certificates in PEM, one for each host.
 * @throws SystemError `disk`
 */
export async function readAuthorities(
  files: ReadonlyMap<string, string>,
): Promise<ReadonlyMap<string, string>> {
  const read = [...files].map(async ([host, file]) => [host, await readAuthority(host, file)] as const);
  return new Map(await Promise.all(read));
}

async function readAuthority(host: string, file: string): Promise<string> {
  const doing = `reading the certificate authority of registry ${host} from ${file}`;
  try {
    const pem = await readFile(file, "utf8");
    checkCertificates(pem);
    return pem;
  } catch (error) {
    throw SystemError.from(error, "disk", `${doing}; expected certificates in PEM`);
  }
}

function checkCertificates(pem: string): void {
  const found = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  if (found.length === 0) throw new Error("no certificate is in it");
  for (const certificate of found) new X509Certificate(certificate);
}
