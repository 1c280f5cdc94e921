import type { DescMessage } from "@bufbuild/protobuf";
import { WasmPluginSchema } from "../gen/istio/extensions/v1alpha1/wasm_pb.ts";
import { GatewaySchema } from "../gen/istio/networking/v1alpha3/gateway_pb.ts";
import { ServiceEntrySchema } from "../gen/istio/networking/v1alpha3/service_entry_pb.ts";
import { VirtualServiceSchema } from "../gen/istio/networking/v1alpha3/virtual_service_pb.ts";
import { SecretSchema } from "../gen/k8s/io/api/core/v1/secret_pb.ts";
import type { IstioKind } from "./config.ts";

interface KindFacts {
  readonly schema: DescMessage;
  /** As debug pages and `translate` print it. */
  readonly apiVersion: string;
  /** MCP's type URLs, `group/version/Kind`: the one that our discovery asks for first, then those of older and newer istiods. */
  readonly mcpTypeUrls: readonly [string, ...string[]];
}

/** What is known of each kind that travels between core and discovery. */
export const kinds: Readonly<Record<IstioKind, KindFacts>> = {
  Gateway: networking("Gateway", GatewaySchema),
  ServiceEntry: networking("ServiceEntry", ServiceEntrySchema),
  VirtualService: networking("VirtualService", VirtualServiceSchema),
  WasmPlugin: {
    schema: WasmPluginSchema,
    apiVersion: "extensions.istio.io/v1alpha1",
    mcpTypeUrls: ["extensions.istio.io/v1alpha1/WasmPlugin"],
  },
  Secret: { schema: SecretSchema, apiVersion: "v1", mcpTypeUrls: ["core/v1/Secret"] },
};

/** What an istiod of 1.30 and later makes filters of, in the place of WasmPlugin. */
export const trafficExtensionTypeUrl = "extensions.istio.io/v1alpha1/TrafficExtension";

function networking(kind: string, schema: DescMessage): KindFacts {
  const typeUrl = (version: string) => `networking.istio.io/${version}/${kind}`;
  return {
    schema,
    apiVersion: "networking.istio.io/v1alpha3",
    mcpTypeUrls: [typeUrl("v1alpha3"), typeUrl("v1beta1"), typeUrl("v1")],
  };
}
