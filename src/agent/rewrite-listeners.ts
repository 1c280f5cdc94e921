import type {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
  DiscoveryRequest,
  DiscoveryResponse,
} from "../xds/ads.ts";

/** Makes of an encoded listener what Envoy gets. */
export type ListenerRewrite = (listener: Uint8Array) => Uint8Array;

/**
 * Ends the versions of listeners that were rewritten: Envoy says them when it connects again, and what it has as discovery
 * sent it, from before they were rewritten, is asked for anew.
 */
const mark = "+rewritten";

/** A response with its listeners rewritten, in the incremental form. */
export function rewriteIncremental(
  response: DeltaDiscoveryResponse,
  rewrite: ListenerRewrite,
): DeltaDiscoveryResponse {
  const resources = response.resources.map((each) => ({
    ...each,
    version: each.version + mark,
    resource: each.resource && { ...each.resource, value: rewrite(each.resource.value) },
  }));
  return { ...response, resources };
}

/** The same in the state-of-the-world form. */
export function rewriteStateOfTheWorld(
  response: DiscoveryResponse,
  rewrite: ListenerRewrite,
): DiscoveryResponse {
  const resources = response.resources.map((any) => ({ ...any, value: rewrite(any.value) }));
  return { ...response, versionInfo: response.versionInfo + mark, resources };
}

/** A request for listeners in discovery's own versions, of those that Envoy has rewritten; the others it shall get again. */
export function unmarkIncremental(request: DeltaDiscoveryRequest): DeltaDiscoveryRequest {
  const versions = Object.entries(request.initialResourceVersions)
    .filter(([, version]) => version.endsWith(mark))
    .map(([name, version]) => [name, unmark(version)] as const);
  return { ...request, initialResourceVersions: Object.fromEntries(versions) };
}

/** The same in the state-of-the-world form. */
export function unmarkStateOfTheWorld(request: DiscoveryRequest): DiscoveryRequest {
  const { versionInfo } = request;
  return { ...request, versionInfo: versionInfo.endsWith(mark) ? unmark(versionInfo) : "" };
}

function unmark(version: string): string {
  return version.slice(0, -mark.length);
}
