import type { KubernetesClient } from "../../kubernetes/client.ts";
import type { ListPage } from "../../kubernetes/objects.ts";
import { refKey } from "../../resource/types.ts";
import { readStatusBody, type StatusBody, wasmPluginApi } from "./status-body.ts";

/** What the cluster has of one plugin's status. */
export interface KnownStatus {
  /** Of the object that has it: another of the same name has none. */
  readonly uid: string;
  readonly body: StatusBody | undefined;
}

const pageSize = "500";

/** Reads the statuses of a namespace's WasmPlugins, or of all, page by page: they need not be in memory at once. */
export async function readStatuses(
  client: KubernetesClient,
  namespace: string | undefined,
  signal: AbortSignal,
): Promise<Map<string, KnownStatus>> {
  const known = new Map<string, KnownStatus>();
  const within = namespace === undefined ? "" : `/namespaces/${namespace}`;
  const path = `/apis/${wasmPluginApi.apiVersion}${within}/wasmplugins`;
  let next: string | undefined;
  do {
    const query = { limit: pageSize, ...(next && { continue: next }) };
    const { metadata, items } = (await client.request("GET", path, { query, signal })) as ListPage;
    for (const { metadata: meta, status } of items ?? []) {
      const key = refKey({ kind: wasmPluginApi.kind, namespace: meta.namespace ?? "", name: meta.name });
      known.set(key, { uid: meta.uid ?? "", body: readStatusBody(status) });
    }
    next = metadata?.continue;
  } while (next);
  return known;
}
