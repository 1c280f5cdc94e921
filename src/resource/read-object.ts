import { isDeepStrictEqual } from "node:util";
import { decodeResource } from "./decode.ts";
import { isObject } from "./decoder.ts";
import type { Diagnostic } from "./diagnostic.ts";
import { withKept } from "./last-good.ts";
import type { SourceFile } from "./source-state.ts";
import { hasSpecText, rememberSpecText } from "./spec-text.ts";
import type { JsonObject, Resource, ServerMeta } from "./types.ts";

/** The API that objects were asked of: list items of built-in kinds do not name it themselves. */
export interface ObjectType {
  readonly apiVersion: string;
  readonly kind: string;
}

/** A copy of the whole object, which kubectl leaves in it. */
const copyAnnotation = "kubectl.kubernetes.io/last-applied-configuration";

/**
 * Reads one object of an API server, as documents of files are read. While it is broken, its last good version stays;
 * what says the same as `before`, such as one of which only the status changed, stays the same object.
 */
export function readObject(
  object: { readonly [field: string]: unknown },
  { apiVersion, kind }: ObjectType,
  before?: SourceFile,
): SourceFile {
  const metadata = object.metadata as JsonObject;
  if (before && saysTheSame(object, before)) return before;
  const value = { ...object, apiVersion, kind, metadata: withoutCopy(metadata) };
  const { resource, ref, problems } = decodeResource(value, { defaultNamespace: "default" });
  const diagnostics: Diagnostic[] = problems.map(({ path, place: _place, ...rest }) => ({
    ...rest,
    at: { ref, path },
  }));
  const known = before?.resources ?? [];
  const next = resource
    ? { resources: [withServerMeta(resource, metadata)], diagnostics }
    : withKept(known, [], diagnostics);
  const file = keepSame(next, before);
  for (const read of file.resources)
    if (read.kind === "WasmPlugin" && !known.includes(read)) rememberSpecText(read, object.spec);
  return file;
}

/**
 * Whether an object of which nothing but what the server keeps has changed, such as its status, is the one before: found
 * without decoding it. Only of WasmPlugins: theirs change with every gateway that answers.
 */
function saysTheSame(
  object: { readonly [field: string]: unknown },
  { resources, diagnostics }: SourceFile,
): boolean {
  const [known] = resources;
  if (known?.kind !== "WasmPlugin" || diagnostics.length > 0 || !hasSpecText(known, object.spec))
    return false;
  const { labels, annotations, ...server } = withoutCopy(object.metadata as JsonObject);
  return isDeepStrictEqual(known.metadata, {
    ...{ name: server.name, namespace: server.namespace },
    ...(labels !== undefined && { labels }),
    ...(annotations !== undefined && { annotations }),
    server: serverMeta(server),
  });
}

function withoutCopy(metadata: JsonObject): JsonObject {
  const { annotations } = metadata;
  if (!isObject(annotations) || !Object.hasOwn(annotations, copyAnnotation)) return metadata;
  const { [copyAnnotation]: _copy, ...rest } = annotations;
  return { ...metadata, annotations: rest };
}

function withServerMeta(resource: Resource, metadata: JsonObject): Resource {
  return { ...resource, metadata: { ...resource.metadata, server: serverMeta(metadata) } };
}

function serverMeta({ uid, generation, creationTimestamp }: JsonObject): ServerMeta {
  return {
    uid: typeof uid === "string" ? uid : "",
    generation: typeof generation === "number" ? generation : 0,
    creationTimestamp: typeof creationTimestamp === "string" ? creationTimestamp : "",
  };
}

function keepSame(next: SourceFile, before: SourceFile | undefined): SourceFile {
  if (!before) return next;
  const resources = next.resources.map((resource, index) =>
    isDeepStrictEqual(resource, before.resources[index]) ? before.resources[index]! : resource,
  );
  const same =
    resources.length === before.resources.length &&
    resources.every((resource, index) => resource === before.resources[index]) &&
    isDeepStrictEqual(next.diagnostics, before.diagnostics);
  return same ? before : { ...next, resources };
}
