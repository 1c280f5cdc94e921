import type { WasmPlugin } from "../gen/istio/extensions/v1alpha1/wasm_pb.ts";
import type { Gateway } from "../gen/istio/networking/v1alpha3/gateway_pb.ts";
import type { ServiceEntry } from "../gen/istio/networking/v1alpha3/service_entry_pb.ts";
import type { VirtualService } from "../gen/istio/networking/v1alpha3/virtual_service_pb.ts";
import type { Secret } from "../gen/k8s/io/api/core/v1/secret_pb.ts";

/** The specs that travel between core and discovery, by kind. */
export interface IstioSpecs {
  Gateway: Gateway;
  ServiceEntry: ServiceEntry;
  VirtualService: VirtualService;
  WasmPlugin: WasmPlugin;
  /** Not one of Istio's: certificates and registry credentials that the others refer to. */
  Secret: Secret;
}

export type IstioKind = keyof IstioSpecs;

/** One Istio resource. Immutable; what did not change keeps its identity from one set to the next. */
export interface IstioConfig<K extends IstioKind = IstioKind> {
  readonly kind: K;
  readonly namespace: string;
  readonly name: string;
  readonly annotations?: Readonly<Record<string, string>>;
  /** A content hash, the `metadata.version` of MCP; "" where it was not yet encoded. */
  readonly version?: string;
  readonly spec: IstioSpecs[K];
  /** Only where the spec holds values from Secrets: the spec as debug pages may show it, with the templates in place. */
  readonly shownSpec?: IstioSpecs[K];
}

/** Everything that core tells discovery, as of now. Lists of kinds that did not change keep their identity. */
export type IstioConfigSet = { readonly [K in IstioKind]: readonly IstioConfig<K>[] };

export const emptyIstioConfigSet: IstioConfigSet = {
  Gateway: [],
  ServiceEntry: [],
  VirtualService: [],
  WasmPlugin: [],
  Secret: [],
};
