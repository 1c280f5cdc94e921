/** A certificate and its key, in PEM. */
export interface CertificateText {
  readonly certificate: string;
  readonly key: string;
}

/** An HTTPS Ingress for one host of the example's other service, with its Secret, both of one name. */
export function httpsIngress(name: string, host: string, { certificate, key }: CertificateText) {
  const metadata = { name, namespace: "higress-course" };
  const backend = { service: { name: "other-server", port: { number: 8080 } } };
  const rules = [{ host, http: { paths: [{ path: "/", pathType: "Prefix", backend }] } }];
  return {
    apiVersion: "v1",
    kind: "List",
    items: [
      {
        apiVersion: "networking.k8s.io/v1",
        kind: "Ingress",
        metadata,
        spec: { tls: [{ hosts: [host], secretName: name }], rules },
      },
      {
        apiVersion: "v1",
        kind: "Secret",
        type: "kubernetes.io/tls",
        metadata,
        stringData: { "tls.crt": certificate, "tls.key": key },
      },
    ],
  };
}
