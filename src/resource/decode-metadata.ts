import { warnUnknown } from "./decode-message.ts";
import { type Cursor, isObject, reportMismatch, reportMissing } from "./decoder.ts";
import { mapOf, record, string } from "./decoders.ts";
import type { ObjectMeta } from "./types.ts";

const metadata = record<Partial<Omit<ObjectMeta, "server">>>({
  name: string,
  namespace: string,
  labels: mapOf(string),
  annotations: mapOf(string),
});

const readFields = ["name", "namespace", "labels", "annotations"];
const serverFields = new Set([
  "creationTimestamp",
  "deletionGracePeriodSeconds",
  "deletionTimestamp",
  "finalizers",
  "generateName",
  "generation",
  "managedFields",
  "ownerReferences",
  "resourceVersion",
  "selfLink",
  "uid",
]);

/** Decodes `metadata`. `namespace` is what a resource without one is in; "" for a kind that has none. */
export function decodeMetadata(value: unknown, at: Cursor, namespace: string): ObjectMeta | undefined {
  const fields = metadata(value ?? null, at);
  if (!fields) return undefined;
  for (const key of isObject(value) ? Object.keys(value) : [])
    if (!readFields.includes(key) && !serverFields.has(key))
      warnUnknown({ ...at, parent: at, key }, key, readFields);
  const name = fields.name ?? "";
  if (!isObject(value) || value.name === undefined || value.name === null || value.name === "")
    return reportMissing(at, "name", "every resource needs metadata.name");
  checkName(name, { ...at, parent: at, key: "name" });
  if (fields.namespace) checkName(fields.namespace, { ...at, parent: at, key: "namespace" });
  return { ...fields, name, namespace: namespace && (fields.namespace || namespace) };
}

/** What the names are used in bears neither slashes nor blanks: keys, paths, cluster names. */
function checkName(name: string, at: Cursor): void {
  if (name !== "" && (name.length > 253 || !/^[\w.-]+$/.test(name)))
    reportMismatch(at, "at most 253 letters, digits, dots and dashes", name);
}
