import type { Agent, OutgoingHttpHeaders } from "node:http";
import type { RequestOptions } from "node:https";
import type { KubeConfig } from "@kubernetes/client-node";
import { SystemError } from "../system-error.ts";
import type { Access } from "./transport.ts";

export interface AccessOptions {
  /** A kubeconfig file. Default: as kubectl (`KUBECONFIG`, `~/.kube/config`), then the pod's own ServiceAccount. */
  readonly kubeconfig?: string;
  /** A context of it, in place of the current one. */
  readonly context?: string;
}

/** Where the API server is and how to prove oneself. */
export interface Credentials {
  /** `https://host:port`, maybe with a path. */
  readonly server: string;
  /** The namespace of the context or of the ServiceAccount. */
  readonly namespace: string | undefined;
  /** What a request needs to be trusted and to trust. Asked for each time, since tokens and certificates rotate. */
  apply(): Promise<Access>;
}

/**
 * Finds the API server: kubeconfig with certificates, tokens, exec and OIDC, or the ServiceAccount of the pod.
 * @throws SystemError("not-found") where there is none, or where what the file says cannot be used
 */
export async function loadCredentials({ kubeconfig, context }: AccessOptions = {}): Promise<Credentials> {
  // Loaded only here: it takes most of a second and 80 MiB, which who reads files should not pay.
  const { KubeConfig } = await import("@kubernetes/client-node");
  const config = new KubeConfig();
  try {
    if (kubeconfig) config.loadFromFile(kubeconfig);
    else config.loadFromDefault();
  } catch (error) {
    throw SystemError.from(error, "not-found", `cannot read the kubeconfig ${kubeconfig ?? ""}`.trimEnd());
  }
  // What the library makes up where there is nothing: nobody's API server is there any more.
  if (config.getCurrentContext() === "loaded-context") throw new SystemError("not-found", nowhere);
  if (context) config.setCurrentContext(context);
  return credentialsOf(config);
}

const nowhere =
  "no Kubernetes API server is named: there is no kubeconfig (KUBECONFIG, ~/.kube/config), and this is no pod";

/** Of what the library sets, the kinds that it sets. */
interface AppliedOptions extends RequestOptions {
  headers?: OutgoingHttpHeaders;
  agent?: Agent;
}

function credentialsOf(config: KubeConfig): Credentials {
  const name = config.getCurrentContext();
  const cluster = config.getCurrentCluster();
  if (!cluster) {
    const known = config.getContexts().map((context) => context.name);
    throw new SystemError(
      "not-found",
      `the kubeconfig has no context ${name ? `"${name}"` : "that is current"} with a cluster; ` +
        `its contexts: ${known.join(", ") || "none"}`,
    );
  }
  // Without TLS there is nothing to verify, and the library refuses such a server otherwise (`kubectl proxy`).
  if (cluster.server.startsWith("http:")) Object.assign(cluster, { skipTLSVerify: true });
  return {
    server: cluster.server,
    namespace: config.getContextObject(name)?.namespace?.trim() || undefined,
    async apply() {
      const options: AppliedOptions = {};
      try {
        await config.applyToHTTPSOptions(options);
      } catch (error) {
        throw SystemError.from(error, "unauthorized", `no credentials for ${cluster.server}`);
      }
      const { headers = {}, auth, agent, ca, cert, key, rejectUnauthorized, servername } = options;
      return {
        headers: auth
          ? { ...headers, authorization: `Basic ${Buffer.from(auth).toString("base64")}` }
          : headers,
        tls: {
          ca,
          cert,
          key,
          ...(servername && { servername }),
          ...(rejectUnauthorized === false && { rejectUnauthorized }),
        },
        // Its agents keep no connection. Proxies they do know, so there they stay.
        agent: cluster.proxyUrl ? agent : undefined,
      };
    },
  };
}
