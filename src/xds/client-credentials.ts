import { readFile } from "node:fs/promises";
import { type ChannelCredentials, credentials, experimental, Metadata } from "@grpc/grpc-js";
import { SystemError } from "../system-error.ts";
import { type WatchOptions, watchAuthorities } from "./certificate-files.ts";

/** How a client trusts its server and proves itself to it. */
export interface ClientTls {
  /** Certificate authorities of the server, a file in PEM. The server's name is the target's host. */
  readonly caFile: string;
  /** A file with a ServiceAccount's token, sent as `authorization: Bearer`. Read for each stream: projected tokens rotate. */
  readonly tokenFile?: string;
}

/**
 * A client's side of TLS. Files are read again when they change.
 * @throws SystemError("disk") where the authorities cannot be used
 */
export async function openClientCredentials(
  { caFile, tokenFile }: ClientTls,
  options: WatchOptions,
): Promise<ChannelCredentials> {
  const authorities = await watchAuthorities(caFile, options);
  const tls = experimental.createCertificateProviderChannelCredentials(authorities, null);
  if (tokenFile === undefined) return tls;
  const bearer = credentials.createFromMetadataGenerator((_, done) => {
    readToken(tokenFile).then(
      (token) => {
        const metadata = new Metadata();
        metadata.set("authorization", `Bearer ${token}`);
        done(null, metadata);
      },
      (error) => done(error),
    );
  });
  return credentials.combineChannelCredentials(tls, bearer);
}

async function readToken(file: string): Promise<string> {
  const text = await readFile(file, "utf8").catch((error) => {
    throw SystemError.from(error, "disk", `the token in ${file} cannot be read`);
  });
  const token = text.trim();
  // What is no header would be quoted in somebody's error.
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new SystemError("disk", `${file} holds no token: expected one line of printable characters`);
}
