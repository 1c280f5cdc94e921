import { type Diagnostic, formatDiagnostic, formatRef, type Location } from "./diagnostic.ts";
import { locate } from "./locate.ts";
import {
  emptyResourceSet,
  type Resource,
  type ResourceKind,
  type ResourceSet,
  refKey,
  refOf,
} from "./types.ts";

/** All that a source has read, as of now, and what there is to say about it. */
export interface SourceState {
  readonly set: ResourceSet;
  readonly diagnostics: readonly Diagnostic[];
}

/** What one file contributes. */
export interface SourceFile {
  readonly resources: readonly Resource[];
  readonly diagnostics: readonly Diagnostic[];
  /** The file is gone, and only not yet believed to be: its resources give way to those of any other file. */
  readonly leaving?: boolean;
}

export const emptySourceState: SourceState = { set: emptyResourceSet, diagnostics: [] };

const listOf: Readonly<Record<ResourceKind, keyof ResourceSet>> = {
  WasmPlugin: "wasmPlugins",
  Ingress: "ingresses",
  IngressClass: "ingressClasses",
  Service: "services",
  EndpointSlice: "endpointSlices",
  Secret: "secrets",
  ConfigMap: "configMaps",
};

/**
 * The state that files, in order, make together. Of resources with the same reference the first wins. What equals its
 * counterpart in `previous` keeps its identity: the list of a kind, the diagnostics, the whole state.
 */
export function combineFiles(
  files: Iterable<SourceFile>,
  previous: SourceState = emptySourceState,
): SourceState {
  const all = [...files];
  const staying = all.filter(({ leaving }) => !leaving);
  const diagnostics = staying.flatMap((file) => file.diagnostics);
  const resources = staying.flatMap((file) => file.resources);
  if (staying.length === all.length && hasSameNames(resources, distinct.get(previous))) {
    return remember(reuseState({ set: groupByKind(resources), diagnostics }, previous), resources);
  }
  const winners = new Map<string, Resource>();
  for (const resource of resources) {
    const key = keyOf(resource);
    const winner = winners.get(key);
    if (winner) diagnostics.push(duplicate(resource, winner));
    else winners.set(key, resource);
  }
  const hasDuplicates = winners.size < resources.length;
  for (const resource of all.filter(({ leaving }) => leaving).flatMap((file) => file.resources)) {
    const key = keyOf(resource);
    if (!winners.has(key)) winners.set(key, resource);
  }
  const state = reuseState({ set: groupByKind(winners.values()), diagnostics }, previous);
  return hasDuplicates || staying.length < all.length ? state : remember(state, resources);
}

/** The resources of states in which no two have the same reference: an edit of one leaves nothing to look up. */
const distinct = new WeakMap<SourceState, readonly Resource[]>();

function remember(state: SourceState, resources: readonly Resource[]): SourceState {
  distinct.set(state, resources);
  return state;
}

function hasSameNames(resources: readonly Resource[], before: readonly Resource[] | undefined): boolean {
  if (resources.length !== before?.length) return false;
  return resources.every((resource, index) => {
    const old = before[index]!;
    return resource === old || keyOf(resource) === keyOf(old);
  });
}

const keys = new WeakMap<Resource, string>();

function keyOf(resource: Resource): string {
  let key = keys.get(resource);
  if (key === undefined) {
    key = refKey(refOf(resource));
    keys.set(resource, key);
  }
  return key;
}

function groupByKind(resources: Iterable<Resource>): ResourceSet {
  const lists = {
    wasmPlugins: [],
    ingresses: [],
    ingressClasses: [],
    services: [],
    endpointSlices: [],
    secrets: [],
    configMaps: [],
  } as Record<keyof ResourceSet, Resource[]>;
  for (const resource of resources) lists[listOf[resource.kind]].push(resource);
  return lists as unknown as ResourceSet;
}

function duplicate(resource: Resource, winner: Resource): Diagnostic {
  const first = placeOf(winner);
  const ref = refOf(resource);
  return {
    severity: "warning",
    code: "DUPLICATE_RESOURCE",
    message: `${formatRef(ref)} is already defined at ${first.file}:${first.line}, which is the one in effect`,
    at: { ref, ...placeOf(resource) },
    hint: "delete one of the two, or give it another name",
  };
}

function placeOf({ origin }: Resource): Location {
  return origin ? { file: origin.file, ...locate(origin, ["metadata", "name"]) } : {};
}

function reuseState(next: SourceState, previous: SourceState): SourceState {
  const set = reuseSet(next.set, previous.set);
  const diagnostics = isSameList(next.diagnostics, previous.diagnostics, isSameDiagnostic)
    ? previous.diagnostics
    : next.diagnostics;
  return set === previous.set && diagnostics === previous.diagnostics ? previous : { set, diagnostics };
}

function reuseSet(next: ResourceSet, previous: ResourceSet): ResourceSet {
  const names = Object.values(listOf);
  const same = (name: keyof ResourceSet) => isSameList<Resource>(next[name], previous[name], Object.is);
  if (names.every(same)) return previous;
  const lists = names.map((name) => [name, same(name) ? previous[name] : next[name]]);
  return Object.fromEntries(lists) as ResourceSet;
}

function isSameList<T>(a: readonly T[], b: readonly T[], isSame: (a: T, b: T) => boolean): boolean {
  return a.length === b.length && a.every((element, index) => isSame(element, b[index]!));
}

function isSameDiagnostic(a: Diagnostic, b: Diagnostic): boolean {
  return a === b || formatDiagnostic(a) === formatDiagnostic(b);
}
