import type { Any } from "@bufbuild/protobuf/wkt";
import type { TransportSocket } from "../gen/envoy/config/core/v3/base_pb.ts";
import {
  type CertificateValidationContext,
  TlsParameters_TlsProtocol as Protocol,
  SubjectAltNameMatcher_SanType as SanType,
  type TlsCertificate as TlsCertificateMessage,
} from "../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts";
import type { Secret } from "../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import {
  type CommonTlsContext,
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from "../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts";
import { checked } from "./check-secret.ts";
import type { UpstreamTls } from "./cluster-config.ts";
import { dataBytes } from "./data-source.ts";
import { decodeAny } from "./decode-any.ts";
import { messageName } from "./filter-config.ts";
import type {
  DownstreamTls,
  TlsCertificate,
  TlsSecret,
  TlsValidation,
  TlsVersion,
} from "./gateway-config.ts";
import type { AlternativeName } from "./peer-certificate.ts";
import { refuse, within, withinEach } from "./refused-config.ts";
import { compileStringMatcher } from "./string-match.ts";

const rawBuffer = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer";

/** Compiles a transport socket of a listener; undefined for plaintext. */
export function compileDownstreamTls(socket: TransportSocket | undefined): DownstreamTls | undefined {
  const any = typedConfig(socket, DownstreamTlsContextSchema.typeName);
  if (!any) return undefined;
  const context = decodeAny(DownstreamTlsContextSchema, any);
  const common = within("common_tls_context", () => compileCommon(context.commonTlsContext));
  if (common.certificates.length + common.certificateNames.length === 0)
    refuse("common_tls_context", "No TLS certificates found for server context");
  return { ...common, requireClientCertificate: context.requireClientCertificate ?? false };
}

/** Compiles a transport socket of a cluster; undefined for plaintext. */
export function compileUpstreamTls(socket: TransportSocket | undefined): UpstreamTls | undefined {
  const any = typedConfig(socket, UpstreamTlsContextSchema.typeName);
  if (!any) return undefined;
  const context = decodeAny(UpstreamTlsContextSchema, any);
  const common = within("common_tls_context", () => compileCommon(context.commonTlsContext));
  within("common_tls_context", () => refuseInexact(common.validation));
  return { ...common, sni: context.sni };
}

function typedConfig(socket: TransportSocket | undefined, expected: string): Any | undefined {
  if (!socket) return undefined;
  const any = socket.configType.value;
  if (!any) return refuse("typed_config", "is required");
  const name = messageName(any);
  if (name === rawBuffer) return undefined;
  if (name === expected) return any;
  return refuse(
    "typed_config",
    `Didn't find a registered implementation for '${socket.name}' with type URL: '${name}'`,
  );
}

const versions: Readonly<Record<Protocol, TlsVersion | undefined>> = {
  [Protocol.TLS_AUTO]: undefined,
  [Protocol.TLSv1_0]: "TLSv1",
  [Protocol.TLSv1_1]: "TLSv1.1",
  [Protocol.TLSv1_2]: "TLSv1.2",
  [Protocol.TLSv1_3]: "TLSv1.3",
};

function compileCommon(
  context: CommonTlsContext | undefined,
): Omit<DownstreamTls, "requireClientCertificate"> {
  const parameters = context?.tlsParams;
  return {
    certificateNames: context?.tlsCertificateSdsSecretConfigs.map(({ name }) => name) ?? [],
    certificates: withinEach("tls_certificates", context?.tlsCertificates ?? [], compileCertificate),
    validation: compileValidationOf(context),
    alpn: context?.alpnProtocols ?? [],
    minVersion: parameters && versions[parameters.tlsMinimumProtocolVersion],
    maxVersion: parameters && versions[parameters.tlsMaximumProtocolVersion],
    cipherSuites: parameters?.cipherSuites ?? [],
  };
}

function compileValidationOf(context: CommonTlsContext | undefined): TlsValidation | undefined {
  const by = context?.validationContextType;
  switch (by?.case) {
    case undefined:
      return undefined;
    case "validationContext":
      return within("validation_context", () => compileValidation(by.value));
    case "validationContextSdsSecretConfig":
      return { ...noValidation, secretName: by.value.name };
    case "combinedValidationContext": {
      const { defaultValidationContext: own, validationContextSdsSecretConfig: named } = by.value;
      const validation = own
        ? within("default_validation_context", () => compileValidation(own))
        : noValidation;
      return { ...validation, secretName: named?.name };
    }
    default:
      return refuse("validation_context_type", `${by?.case} is not supported`);
  }
}

const noValidation: TlsValidation = {
  kind: "validation",
  secretName: undefined,
  trustedCa: undefined,
  subjectAltNames: [],
  alternativeNames: [],
  hashes: [],
  spkiHashes: [],
};

const nameTypes: Readonly<Record<SanType, AlternativeName["type"] | undefined>> = {
  [SanType.SAN_TYPE_UNSPECIFIED]: undefined,
  [SanType.EMAIL]: "email",
  [SanType.DNS]: "DNS",
  [SanType.URI]: "URI",
  [SanType.IP_ADDRESS]: "IP Address",
  [SanType.OTHER_NAME]: "other",
};

function compileValidation(context: CertificateValidationContext): TlsValidation {
  if (context.crl) refuse("crl", "is not supported");
  const alternativeNames = [
    ...withinEach(
      "match_typed_subject_alt_names",
      context.matchTypedSubjectAltNames,
      ({ sanType, matcher }) => {
        if (!matcher) return refuse("matcher", "is required");
        return { type: nameTypes[sanType], matches: compileStringMatcher(matcher) };
      },
    ),
    ...withinEach("match_subject_alt_names", context.matchSubjectAltNames, (matcher) => ({
      type: undefined,
      matches: compileStringMatcher(matcher),
    })),
  ];
  const patterns = [
    ...context.matchTypedSubjectAltNames.map(({ matcher }) => matcher?.matchPattern),
    ...context.matchSubjectAltNames.map(({ matchPattern }) => matchPattern),
  ];
  const { trustedCa } = context;
  return checked({
    ...noValidation,
    trustedCa: trustedCa && within("trusted_ca", () => dataBytes(trustedCa)),
    subjectAltNames: patterns.flatMap((pattern) => (pattern?.case === "exact" ? [pattern.value] : [])),
    alternativeNames,
    hashes: context.verifyCertificateHash.map((hash) => hash.replaceAll(":", "").toLowerCase()),
    spkiHashes: context.verifyCertificateSpki,
  });
}

/** What upstreams are not checked by. */
function refuseInexact(validation: TlsValidation | undefined): void {
  if (!validation) return;
  const { subjectAltNames, alternativeNames, hashes, spkiHashes } = validation;
  if (alternativeNames.length > subjectAltNames.length)
    refuse("validation_context", "only exact names are supported");
  if (hashes.length > 0) refuse("validation_context.verify_certificate_hash", "is not supported");
  if (spkiHashes.length > 0) refuse("validation_context.verify_certificate_spki", "is not supported");
}

function compileCertificate(certificate: TlsCertificateMessage): TlsCertificate {
  const { certificateChain, privateKey, password } = certificate;
  if (certificate.pkcs12) refuse("pkcs12", "is not supported");
  if (certificate.privateKeyProvider) refuse("private_key_provider", "is not supported");
  if (!certificateChain) return refuse("certificate_chain", "is required");
  if (!privateKey) return refuse("private_key", "is required");
  return checked({
    kind: "certificate",
    chain: within("certificate_chain", () => dataBytes(certificateChain)),
    privateKey: within("private_key", () => dataBytes(privateKey)),
    password: password && within("password", () => dataBytes(password)),
  });
}

/** Compiles a secret of SDS. */
export function compileSecret({ type: by }: Secret): TlsSecret {
  switch (by.case) {
    case "tlsCertificate":
      return within("tls_certificate", () => compileCertificate(by.value));
    case "validationContext":
      return within("validation_context", () => compileValidation(by.value));
    default:
      return refuse("type", by.case === undefined ? "is required" : `${by.case} is not supported`);
  }
}
