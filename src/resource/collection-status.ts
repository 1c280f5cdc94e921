import type { Collection, CollectionState } from "../kubernetes/collection.ts";
import { type Followed, resourceName, secretKind } from "./kubernetes-kinds.ts";
import type { CollectionStatus } from "./source-status.ts";

/** How the following of a kind is doing, in one collection or in many. */
export function statusOf(
  { kind, namespace }: Followed,
  collections: readonly Collection<unknown>[],
): CollectionStatus {
  const states = collections.map(({ state }) => state);
  const sum = (field: "lists" | "relists" | "watchRestarts" | "stalls" | "failures") =>
    states.reduce((total, state) => total + state[field], 0);
  // A Secret that core may not read is for whoever refers to it, and said there: nothing else is out of date for it.
  const isHere = ({ watching, refused, synced }: CollectionState) =>
    watching || (kind === secretKind && refused && !synced);
  const failing = states.find(({ failure }) => failure !== undefined);
  return {
    resource: resourceName(kind),
    ...(namespace && { namespace }),
    objects: collections.reduce((total, collection) => total + collection.size, 0),
    synced: states.every(({ synced }) => synced),
    watching: states.every(isHere),
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
