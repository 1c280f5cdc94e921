import { create } from "@bufbuild/protobuf";
import { AnySchema, anyPack } from "@bufbuild/protobuf/wkt";
import { Server, ServerCredentials, type ServerDuplexStream, status } from "@grpc/grpc-js";
import { DiscoveryResponseSchema } from "../../src/gen/envoy/service/discovery/v3/discovery_pb.ts";
import { ResourceSchema } from "../../src/gen/istio/mcp/v1alpha1/resource_pb.ts";
import type { IstioConfig, IstioConfigSet } from "../../src/istio/config.ts";
import { kinds } from "../../src/istio/kinds.ts";
import { adsDefinition, type DiscoveryRequest, type DiscoveryResponse } from "../../src/xds/ads.ts";

type Call = ServerDuplexStream<DiscoveryRequest, DiscoveryResponse>;

/** The types that it has something of, as it names them. It answers all others, with nothing. */
const served: ReadonlyMap<string, keyof IstioConfigSet> = new Map([
  ["extensions.istio.io/v1alpha1/WasmPlugin", "WasmPlugin"],
  ["networking.istio.io/v1alpha3/Gateway", "Gateway"],
  ["networking.istio.io/v1alpha3/VirtualService", "VirtualService"],
  ["networking.istio.io/v1alpha3/ServiceEntry", "ServiceEntry"],
]);

export interface RecordedCore {
  readonly port: number;
  /** Gives everybody all of every type again, as it does after any change. */
  push(config: IstioConfigSet): void;
  /** How many requests have refused something. */
  refusals(): number;
  stop(): void;
}

/**
 * Speaks as Higress' core was recorded to: the state of the world only, resources without versions and in no order, the
 * time of each Go's zero, one version for all that is pushed at once, and an answer for every type that is asked for.
 */
export async function startRecordedCore(first: IstioConfigSet): Promise<RecordedCore> {
  let [config, pushes, refused] = [first, 1, 0];
  const calls = new Map<Call, Set<string>>();
  const answer = (call: Call, typeUrl: string) => {
    const kind = served.get(typeUrl);
    const configs = kind ? config[kind] : [];
    const version = `2026-01-01T00:00:00Z/${pushes}`;
    const resources = configs.map(encode).sort(() => Math.random() - 0.5);
    call.write(
      create(DiscoveryResponseSchema, {
        typeUrl,
        versionInfo: version,
        nonce: `${version}-${typeUrl}`,
        resources,
      }),
    );
  };
  const server = new Server();
  server.addService(adsDefinition, {
    streamAggregatedResources(call: Call) {
      const asked = new Set<string>();
      calls.set(call, asked);
      call.on("data", ({ typeUrl, errorDetail }: DiscoveryRequest) => {
        if (errorDetail) refused++;
        else if (!asked.has(typeUrl)) answer(call, typeUrl);
        asked.add(typeUrl);
      });
      for (const event of ["end", "cancelled", "error"]) call.on(event, () => void calls.delete(call));
    },
    deltaAggregatedResources(call: Call) {
      call.emit("error", { code: status.UNIMPLEMENTED, details: "not implemented" });
    },
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  return {
    port,
    push(next) {
      [config, pushes] = [next, pushes + 1];
      for (const [call, asked] of calls) for (const typeUrl of asked) answer(call, typeUrl);
    },
    refusals: () => refused,
    stop: () => server.forceShutdown(),
  };
}

function encode(config: IstioConfig) {
  const createTime = { seconds: -62135596800n, nanos: 0 };
  const metadata = { name: `${config.namespace}/${config.name}`, createTime };
  const packed = anyPack(kinds[config.kind].schema, config.spec);
  const body = create(AnySchema, { typeUrl: packed.typeUrl, value: packed.value });
  return anyPack(ResourceSchema, create(ResourceSchema, { metadata, body }));
}
