import { createPrivateKey, X509Certificate } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { SecretSchema } from "../gen/k8s/io/api/core/v1/secret_pb.ts";
import type { IstioConfig } from "../istio/config.ts";
import type { Secret } from "../resource/types.ts";
import { fullName } from "./config-names.ts";
import { unreadableHint } from "./expand-templates.ts";
import { type AcceptedIngress, type IngressScope, report } from "./ingress-scope.ts";

/** The usable TLS Secrets that Ingresses refer to, by `namespace/name`. */
export type Certificates = ReadonlyMap<string, IstioConfig<"Secret">>;

type Checked = { readonly config: IstioConfig<"Secret"> } | { readonly problem: string };

/** Parsing a certificate is slow next to everything else here, and Secrets seldom change. */
const checked = new WeakMap<Secret, Checked>();

/** The usable certificates of an Ingress, in the order of its `spec.tls`; says which are missing or unusable. */
export function readCertificates(
  from: AcceptedIngress,
  scope: IngressScope,
): readonly IstioConfig<"Secret">[] {
  return [...(from.ingress.spec.tls ?? []).entries()].flatMap(
    ([index, { secretName }]) => readCertificate(from, index, secretName, scope) ?? [],
  );
}

function readCertificate(
  from: AcceptedIngress,
  index: number,
  secretName: string | undefined,
  scope: IngressScope,
): IstioConfig<"Secret"> | undefined {
  const path = ["spec", "tls", index, "secretName"];
  if (!secretName) {
    report(scope, from.ingress, {
      severity: "warning",
      code: "MISSING_FIELD",
      path: path.slice(0, -1),
      message:
        "tls entry names no Secret, and there is no default certificate; its hosts get no HTTPS from it",
      hint: "write secretName with the name of a Secret of type kubernetes.io/tls",
    });
    return undefined;
  }
  const { namespace } = from.ingress.metadata;
  const secret = scope.findSecret(`${namespace}/${secretName}`);
  if (!secret) {
    report(scope, from.ingress, {
      severity: "error",
      code: "SECRET_NOT_FOUND",
      path,
      message: `there is no Secret ${secretName} in namespace ${namespace}; its hosts get no HTTPS from it`,
      hint: "create the Secret in the namespace of the Ingress, with type kubernetes.io/tls",
    });
    return undefined;
  }
  if (secret.unreadable !== undefined) {
    report(scope, from.ingress, {
      severity: "error",
      code: "SECRET_UNREADABLE",
      path,
      message: `${secret.unreadable}; its hosts get no HTTPS from it`,
      hint: unreadableHint,
    });
    return undefined;
  }
  const result = checkCertificate(secret);
  if ("config" in result) return result.config;
  report(scope, from.ingress, {
    severity: "error",
    code: "SECRET_INVALID",
    path,
    message: `Secret ${fullName(secret)} ${result.problem}; its hosts get no HTTPS from it`,
    hint: "kubectl create secret tls makes a Secret of the right form from a certificate and its key",
  });
  return undefined;
}

function checkCertificate(secret: Secret): Checked {
  const known = checked.get(secret);
  if (known) return known;
  const problem = findProblem(secret);
  const result = problem === undefined ? { config: convertSecret(secret) } : { problem };
  checked.set(secret, result);
  return result;
}

/** What is wrong with a TLS Secret, in words that hold nothing of its content. */
function findProblem({ type, data }: Secret): string | undefined {
  if (type !== "kubernetes.io/tls") return `has type ${type || "Opaque"}, expected kubernetes.io/tls`;
  const certificate = data["tls.crt"];
  const key = data["tls.key"];
  if (!certificate?.length) return "has no tls.crt";
  if (!key?.length) return "has no tls.key";
  const isPem = Buffer.from(certificate).includes("-----BEGIN CERTIFICATE-----");
  const parsed = attempt(() => new X509Certificate(certificate));
  if (!isPem || !parsed) return "has a tls.crt that is no certificate in PEM";
  const privateKey = attempt(() => createPrivateKey(Buffer.from(key)));
  if (!privateKey) return "has a tls.key that is no unencrypted private key in PEM";
  if (!parsed.checkPrivateKey(privateKey)) return "has a tls.key that does not belong to its tls.crt";
  return undefined;
}

/** Takes only what a gateway needs: other keys of the Secret stay here. */
function convertSecret({ metadata, type, data }: Secret): IstioConfig<"Secret"> {
  const pair = { "tls.crt": data["tls.crt"]!, "tls.key": data["tls.key"]! };
  return {
    kind: "Secret",
    namespace: metadata.namespace,
    name: metadata.name,
    spec: create(SecretSchema, { type, data: pair }),
  };
}

/** The reason is dropped: OpenSSL's texts may quote what they failed to read. */
function attempt<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch {
    return undefined;
  }
}
