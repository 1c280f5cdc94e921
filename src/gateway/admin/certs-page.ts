import { X509Certificate } from "node:crypto";
import { jsonPage, type Page } from "../../http-server.ts";
import type { GatewayConfig, TlsCertificate, TlsSecret, TlsValidation } from "../gateway-config.ts";
import { addressInNames } from "../stats/listener-stats.ts";
import { plainScope } from "../stats/stat-scope.ts";
import type { Label, StatsSnapshot } from "../stats/stats-snapshot.ts";

const dayMs = 24 * 3_600_000;

/** `/certs`: certificates that listeners and clusters use, never their keys. */
export function certsPage(config: GatewayConfig): Page {
  return jsonPage({
    certificates: tlsUses(config).map(({ certificates, validation }) => ({
      ca_cert: readCertificates(validation?.trustedCa).map(certificateJson),
      cert_chain: certificates
        .map(({ chain }) => readCertificates(chain)[0])
        .flatMap((x) => (x ? [certificateJson(x)] : [])),
    })),
  });
}

/** Whole days until the first certificate expires; undefined without one. */
export function daysUntilExpiry(config: GatewayConfig, now = Date.now()): number | undefined {
  const all = tlsUses(config).flatMap(({ certificates, validation }) => [
    ...certificates.flatMap(({ chain }) => readCertificates(chain).slice(0, 1)),
    ...readCertificates(validation?.trustedCa),
  ]);
  const days = all.map((certificate) => daysLeft(certificate, now));
  return days.length === 0 ? undefined : Math.min(...days);
}

/** When listeners' certificates by SDS expire, in seconds since 1970. */
export function certificateScopes({ listeners, secrets }: GatewayConfig): StatsSnapshot {
  return [...listeners.values()].map(({ address, port, chains, defaultChain }) => {
    const names = [...chains, ...(defaultChain ? [defaultChain] : [])].flatMap(
      ({ tls }) => tls?.certificateNames ?? [],
    );
    const found = names.flatMap((name) =>
      certificateOf(secrets.get(name)).flatMap(({ chain }) => {
        const [first] = readCertificates(chain);
        const gauge = `ssl.certificate.${name}.expiration_unix_time_seconds`;
        return first ? [[gauge, Math.floor(Date.parse(first.validTo) / 1000)] as const] : [];
      }),
    );
    const own = addressInNames(address, port);
    const labels: Label[] = [["envoy_listener_address", own]];
    return {
      ...plainScope(`listener.${own}.`, { gauges: Object.fromEntries(found) }, labels),
      metricPrefix: "listener.",
    };
  });
}

interface TlsUse {
  readonly certificates: readonly TlsCertificate[];
  readonly validation: TlsValidation | undefined;
}

function tlsUses({ listeners, clusters, secrets }: GatewayConfig): TlsUse[] {
  const chains = [...listeners.values()].flatMap((listener) => [
    ...listener.chains,
    ...(listener.defaultChain ? [listener.defaultChain] : []),
  ]);
  const all = [...chains, ...clusters.values()].flatMap(({ tls }) => tls ?? []);
  return all.map(({ certificates, certificateNames, validation }) => ({
    certificates: [...certificates, ...certificateNames.flatMap((name) => certificateOf(secrets.get(name)))],
    validation: validationOf(validation, secrets),
  }));
}

function certificateOf(secret: TlsSecret | undefined): TlsCertificate[] {
  return secret?.kind === "certificate" ? [secret] : [];
}

function validationOf(
  validation: TlsValidation | undefined,
  secrets: GatewayConfig["secrets"],
): TlsValidation | undefined {
  const named = validation?.secretName === undefined ? undefined : secrets.get(validation.secretName);
  return named?.kind === "validation" ? named : validation;
}

const parsed = new WeakMap<Uint8Array, readonly X509Certificate[]>();

function readCertificates(pem: Uint8Array | undefined): readonly X509Certificate[] {
  if (!pem) return [];
  const known = parsed.get(pem);
  if (known) return known;
  const blocks = Buffer.from(pem)
    .toString("latin1")
    .match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  const certificates = (blocks ?? []).map((block) => new X509Certificate(block));
  parsed.set(pem, certificates);
  return certificates;
}

function certificateJson(certificate: X509Certificate): object {
  const { serialNumber, subjectAltName = "", validFrom, validTo } = certificate;
  return {
    path: "<inline>",
    serial_number: serialNumber.toLowerCase(),
    subject_alt_names: subjectAltName.split(", ").flatMap(altName),
    days_until_expiration: String(daysLeft(certificate, Date.now())),
    valid_from: isoTime(validFrom),
    expiration_time: isoTime(validTo),
  };
}

const altNameFields: Readonly<Record<string, string>> = {
  DNS: "dns",
  URI: "uri",
  "IP Address": "ip_address",
};

function altName(text: string): object[] {
  const at = text.indexOf(":");
  const kind = text.slice(0, Math.max(at, 0));
  return Object.hasOwn(altNameFields, kind) ? [{ [altNameFields[kind]!]: text.slice(at + 1) }] : [];
}

function daysLeft({ validTo }: X509Certificate, now: number): number {
  return Math.max(0, Math.floor((Date.parse(validTo) - now) / dayMs));
}

function isoTime(text: string): string {
  return new Date(text).toISOString().replace(".000Z", "Z");
}
