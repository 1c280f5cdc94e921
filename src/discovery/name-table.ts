import { createSnapshotType, rawResource } from "../xds/snapshot.ts";

const typeUrl = "type.googleapis.com/istio.networking.nds.v1.NameTable";

/**
 * What Istio's agent resolves names by where its DNS server is on (`ISTIO_META_ENABLE_DNS_SERVER`); it is not ready before
 * it has one.
 */
// Unlike Istio: it is empty, since no service here has an address of its own. All names are asked of the Pod's resolver.
export const nameTable = createSnapshotType(typeUrl, [rawResource("", typeUrl, new Uint8Array())]);
