/** An object of the API, as far as everybody reads it. */
export interface KubernetesObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly resourceVersion?: string;
    /** Since when it is being deleted. */
    readonly deletionTimestamp?: string;
  };
  readonly [field: string]: unknown;
}

/** A page of a list. The items of built-in kinds have no `kind` and `apiVersion` of their own. */
export interface ListPage {
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
  readonly items?: readonly KubernetesObject[] | null;
}

/** An event of a watch. The object of an ERROR is a Status; that of a BOOKMARK has a resourceVersion and nothing else. */
export interface WatchEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  readonly object: KubernetesObject;
}

/** `namespace/name`, or the name alone. */
export function keyOf({ metadata }: KubernetesObject): string {
  return metadata.namespace ? `${metadata.namespace}/${metadata.name}` : metadata.name;
}
