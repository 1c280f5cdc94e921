import { execFileSync } from "node:child_process";
import { join } from "node:path";

/** Files of a certificate and its key, in PEM. */
export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

/** Makes a certificate that is its own authority, in a directory: for 127.0.0.1, or for what `DNS:host` says. */
export function makeCertificate(
  directory: string,
  name: string,
  alternativeName = "IP:127.0.0.1",
): CertificateFiles {
  const key = join(directory, `${name}.key`);
  const certificate = join(directory, `${name}.pem`);
  const subject = ["-subj", `/CN=${name}`, "-addext", `subjectAltName=${alternativeName}`];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  const flags = ["-x509", ...curve, "-keyout", key, "-out", certificate, "-days", "2", ...subject];
  execFileSync("openssl", ["req", ...flags], { stdio: "pipe" });
  return { key, certificate };
}

/** Makes a certificate that another one vouches for, with alternative names as OpenSSL writes them: `DNS:a,URI:b`. */
export function makeIssuedCertificate(
  directory: string,
  name: string,
  issuer: CertificateFiles,
  alternativeNames: string,
): CertificateFiles {
  const file = (ending: string) => join(directory, `${name}.${ending}`);
  const [key, certificate, request] = [file("key"), file("pem"), file("csr")];
  const openssl = (args: readonly string[]) => execFileSync("openssl", args, { stdio: "pipe" });
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  const names = ["-addext", `subjectAltName=${alternativeNames}`];
  openssl(["req", ...curve, "-keyout", key, "-out", request, "-subj", `/C=NL/O=Org/CN=${name}`, ...names]);
  const signing = [
    "-CA",
    issuer.certificate,
    "-CAkey",
    issuer.key,
    "-CAcreateserial",
    "-copy_extensions",
    "copy",
  ];
  openssl(["x509", "-req", "-in", request, "-out", certificate, "-days", "2", ...signing]);
  return { key, certificate };
}
