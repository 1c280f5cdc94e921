import type { KubernetesClient } from "../../kubernetes/client.ts";
import type { KubernetesObject, ListPage } from "../../kubernetes/objects.ts";
import { refKey } from "../../resource/types.ts";
import { readStatusBody, type StatusBody, wasmPluginApi } from "./status-body.ts";

/** What the cluster has of one plugin's status. */
export interface KnownStatus {
  /** Of the object that has it: another of the same name has none. */
  readonly uid: string;
  readonly body: StatusBody | undefined;
  /** Its conditions are somebody else's, by the object's `managedFields`. */
  readonly isOthers: boolean;
}

export interface ReadStatusesOptions {
  readonly client: KubernetesClient;
  /** Undefined stands for all. */
  readonly namespace: string | undefined;
  /** The one who asks: what is managed under another name is somebody else's. */
  readonly fieldManager: string;
  readonly signal: AbortSignal;
}

const pageSize = "500";

/** Reads the statuses of WasmPlugins, one after the other: the objects need not be in memory at once. */
export async function readStatuses(
  { client, namespace, fieldManager, signal }: ReadStatusesOptions,
  found: (key: string, status: KnownStatus) => void,
): Promise<void> {
  const within = namespace === undefined ? "" : `/namespaces/${namespace}`;
  const path = `/apis/${wasmPluginApi.apiVersion}${within}/wasmplugins`;
  const onItem = (item: unknown) => {
    const { metadata, status } = item as KubernetesObject;
    const { namespace: own = "", name, uid = "" } = metadata;
    found(refKey({ kind: wasmPluginApi.kind, namespace: own, name }), {
      uid,
      body: readStatusBody(status),
      isOthers: isManagedByOther(metadata, fieldManager),
    });
  };
  let next: string | undefined;
  do {
    const query = { limit: pageSize, ...(next && { continue: next }) };
    const { metadata } = (await client.request("GET", path, { query, signal, onItem })) as ListPage;
    next = metadata?.continue;
  } while (next);
}

/** An entry of `metadata.managedFields`, as far as it matters here. */
interface ManagedFields {
  readonly manager?: string;

  readonly fieldsV1?: { readonly "f:status"?: { readonly "f:conditions"?: object } };
}

function isManagedByOther(metadata: KubernetesObject["metadata"], own: string): boolean {
  const { managedFields } = metadata as { readonly managedFields?: readonly ManagedFields[] };
  const managers = (managedFields ?? []).filter(({ fieldsV1 }) => fieldsV1?.["f:status"]?.["f:conditions"]);
  return managers.some(({ manager }) => manager !== own);
}
