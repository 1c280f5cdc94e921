import { formatReference, normalizeRegistry, parseReference } from "./reference.ts";

/**
 * The image to pull in the place of another one: the same repository, tag and digest at the registry that stands for
 * the image's own. What is no image, and images of other registries, stay as they are.
 */
export function mirrored(url: string, mirrors: ReadonlyMap<string, string>): string {
  if (mirrors.size === 0 || !(url.startsWith("oci://") || !url.includes("://"))) return url;
  const reference = parseReference(url);
  const registry = [...mirrors].find(([from]) => normalizeRegistry(from) === reference.registry)?.[1];
  if (registry === undefined) return url;
  // An image without a tag stays one: the tag `latest` has another pull policy.
  const isTagged = /[:@][^/]*$/.test(url);
  return `oci://${formatReference({ ...reference, registry, tag: isTagged ? reference.tag : undefined })}`;
}
