import type { KubernetesClient } from "./client.ts";
import { KubernetesError } from "./kubernetes-error.ts";
import type { KubernetesObject } from "./objects.ts";

/** The spec of a Lease, and its version. */
export interface LeaseRecord {
  /** undefined for one that is not there yet. */
  readonly resourceVersion: string | undefined;
  /** Empty for one that nobody holds. */
  readonly holderIdentity: string;
  readonly leaseDurationSeconds: number;
  readonly acquireTime: string;
  readonly renewTime: string;
  /** How often it has changed hands. */
  readonly leaseTransitions: number;
}

/** Where a namespace's Leases are. */
export const leasesPath = (namespace: string) =>
  `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`;

/** One Lease of the API. */
export interface LeaseLock {
  /** Resolves with undefined where there is none. */
  read(timeoutMs: number, signal?: AbortSignal): Promise<LeaseRecord | undefined>;
  /**
   * Writes what is to follow the version that the record names.
   * @throws KubernetesError of status 409 where that is not the newest
   */
  write(record: LeaseRecord, timeoutMs: number, signal?: AbortSignal): Promise<LeaseRecord>;
}

export function createLeaseLock(client: KubernetesClient, namespace: string, name: string): LeaseLock {
  const all = leasesPath(namespace);
  const one = `${all}/${name}`;
  return {
    async read(timeoutMs, signal) {
      try {
        return readLease((await client.request("GET", one, { timeoutMs, signal })) as KubernetesObject);
      } catch (error) {
        if (error instanceof KubernetesError && error.status === 404) return undefined;
        throw error;
      }
    },
    async write({ resourceVersion, ...spec }, timeoutMs, signal) {
      const body = {
        apiVersion: "coordination.k8s.io/v1",
        kind: "Lease",
        metadata: { namespace, name, ...(resourceVersion !== undefined && { resourceVersion }) },
        spec,
      };
      const options = { body, timeoutMs, signal };
      const written =
        resourceVersion === undefined
          ? await client.request("POST", all, options)
          : await client.request("PUT", one, options);
      return readLease(written as KubernetesObject);
    },
  };
}

/** What there is to know of a Lease of the API. */
export function readLease({ metadata, spec }: KubernetesObject): LeaseRecord {
  const fields = (spec ?? {}) as Partial<Omit<LeaseRecord, "resourceVersion">>;
  const { holderIdentity = "", leaseDurationSeconds = 0, acquireTime = "", renewTime = "" } = fields;
  return {
    resourceVersion: metadata.resourceVersion ?? "",
    holderIdentity,
    leaseDurationSeconds,
    acquireTime,
    renewTime,
    leaseTransitions: fields.leaseTransitions ?? 0,
  };
}

/** A time as Go reads `MicroTime`: with exactly six digits. */
export function microTime(time: Date): string {
  return time.toISOString().replace("Z", "000Z");
}
