import type { Collection } from "../kubernetes/collection.ts";
import { type Followed, resourceName } from "./kubernetes-kinds.ts";
import type { CollectionStatus } from "./source-status.ts";

/** How the following of a kind is doing, in one collection or in many. */
export function statusOf(
  { kind, namespace }: Followed,
  collections: readonly Collection<unknown>[],
): CollectionStatus {
  const states = collections.map(({ state }) => state);
  const sum = (field: "lists" | "relists" | "watchRestarts" | "stalls" | "failures") =>
    states.reduce((total, state) => total + state[field], 0);
  const failing = states.find(({ failure }) => failure !== undefined);
  return {
    resource: resourceName(kind),
    ...(namespace && { namespace }),
    objects: collections.reduce((total, collection) => total + collection.size, 0),
    synced: states.every(({ synced }) => synced),
    watching: states.every(({ watching }) => watching),
    ...(failing && { failure: failing.absent ? absentText(kind.kind, resourceName(kind)) : failing.failure }),
    lists: sum("lists"),
    relists: sum("relists"),
    watchRestarts: sum("watchRestarts"),
    stalls: sum("stalls"),
    failures: sum("failures"),
  };
}

function absentText(kind: string, resource: string): string {
  return `the cluster has no ${resource}: no ${kind} takes effect until its CRD is installed (kubectl apply -f api/crds)`;
}
