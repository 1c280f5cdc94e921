import { readFileSync } from "node:fs";
import {
  createRegistry,
  type DescMessage,
  fromJson,
  type JsonObject,
  type JsonValue,
} from "@bufbuild/protobuf";
import { file_google_protobuf_wrappers } from "@bufbuild/protobuf/wkt";
import { ClusterSchema } from "../../src/gen/envoy/config/cluster/v3/cluster_pb.ts";
import { TypedExtensionConfigSchema } from "../../src/gen/envoy/config/core/v3/extension_pb.ts";
import { ListenerSchema } from "../../src/gen/envoy/config/listener/v3/listener_pb.ts";
import { FilterChainConfigSchema } from "../../src/gen/envoy/extensions/filters/http/filter_chain/v3/filter_chain_pb.ts";
import { RouterSchema } from "../../src/gen/envoy/extensions/filters/http/router/v3/router_pb.ts";
import { WasmSchema } from "../../src/gen/envoy/extensions/filters/http/wasm/v3/wasm_pb.ts";
import { HttpConnectionManagerSchema } from "../../src/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { SecretSchema } from "../../src/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import {
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from "../../src/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts";
import { encodeResource, type SnapshotResource } from "../../src/xds/snapshot.ts";
import type { CertificateFiles } from "./certificate.ts";

// Resources of Envoy's API in its JSON, as a server of ADS gives them: to an Envoy and to the embedded gateway.

const registry = createRegistry(
  file_google_protobuf_wrappers,
  DownstreamTlsContextSchema,
  FilterChainConfigSchema,
  HttpConnectionManagerSchema,
  RouterSchema,
  UpstreamTlsContextSchema,
  WasmSchema,
);

function encode<D extends DescMessage>(name: string, schema: D, json: JsonObject): SnapshotResource {
  return encodeResource(name, schema, fromJson(schema, { name, ...json }, { registry }));
}

const typed = (schema: DescMessage, json: JsonObject): JsonObject => ({
  "@type": `type.googleapis.com/${schema.typeName}`,
  ...json,
});

const ads: JsonObject = { ads: {}, resource_api_version: "V3" };

const address = (port: number, host = "127.0.0.1"): JsonObject => ({
  socket_address: { address: host, port_value: port },
});

/** A filter chain, of TLS where it names a certificate's secret. */
export interface ChainResource {
  readonly filters?: readonly JsonObject[];
  readonly serverNames?: readonly string[];
  readonly certificate?: string;
  readonly alpn?: readonly string[];
}

/** A listener on 127.0.0.1 whose requests all go to the cluster `up`. */
export function listenerResource(name: string, port: number, ...chains: readonly ChainResource[]) {
  return encode(name, ListenerSchema, {
    address: address(port),
    filter_chains: chains.map(chainJson),
  });
}

function chainJson(chain: ChainResource, index: number): JsonObject {
  const { filters = [], serverNames = [], certificate, alpn = ["h2", "http/1.1"] } = chain;
  const router = { name: "router", typed_config: typed(RouterSchema, {}) };
  const manager = typed(HttpConnectionManagerSchema, {
    stat_prefix: "test",
    http_filters: [...filters, router],
    route_config: {
      name: "routes",
      virtual_hosts: [
        { name: "any", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: "up" } }] },
      ],
    },
  });
  const context = typed(DownstreamTlsContextSchema, {
    common_tls_context: {
      alpn_protocols: [...alpn],
      tls_certificate_sds_secret_configs: [{ name: certificate ?? "", sds_config: ads }],
    },
  });
  return {
    name: `chain-${index}`,
    filter_chain_match: { server_names: [...serverNames] },
    filters: [{ name: "http", typed_config: manager }],
    ...(certificate && { transport_socket: { name: "tls", typed_config: context } }),
  };
}

/** A place of the filters that ECDS fills. */
export function slotJson(name: string, ...schemas: readonly DescMessage[]): JsonObject {
  const types = (schemas.length > 0 ? schemas : [WasmSchema]).map(
    ({ typeName }) => `type.googleapis.com/${typeName}`,
  );
  return { name, config_discovery: { config_source: ads, type_urls: types } };
}

export interface WasmResource {
  readonly file: string;
  readonly configuration?: string;
  /** More of `envoy.extensions.wasm.v3.PluginConfig`. */
  readonly more?: JsonObject;
}

/** A Wasm filter, to stand in a listener or a chain. */
export function wasmJson(name: string, { file, configuration = "", more = {} }: WasmResource): JsonObject {
  const value: JsonValue = {
    "@type": "type.googleapis.com/google.protobuf.StringValue",
    value: configuration,
  };
  const vm = { runtime: "envoy.wasm.runtime.v8", code: { local: { filename: file } } };
  const config = { name, configuration: value, vm_config: vm, ...more };
  return { name, typed_config: typed(WasmSchema, { config }) };
}

export function extensionResource(filter: JsonObject): SnapshotResource {
  return encode(String(filter.name), TypedExtensionConfigSchema, filter);
}

/** A chain of filters as one extension. */
export function chainResource(name: string, ...filters: readonly JsonObject[]): SnapshotResource {
  const config = typed(FilterChainConfigSchema, { default_filter_chain: { filters: [...filters] } });
  return encode(name, TypedExtensionConfigSchema, { typed_config: config });
}

/** A cluster of one endpoint on 127.0.0.1, with TLS where it names a certificate's or an authority's secret. */
export function clusterResource(
  name: string,
  port: number,
  tls?: { readonly certificate?: string; readonly authority?: string },
): SnapshotResource {
  const context = typed(UpstreamTlsContextSchema, {
    common_tls_context: {
      ...(tls?.certificate && {
        tls_certificate_sds_secret_configs: [{ name: tls.certificate, sds_config: ads }],
      }),
      ...(tls?.authority && {
        validation_context_sds_secret_config: { name: tls.authority, sds_config: ads },
      }),
    },
  });
  return encode(name, ClusterSchema, {
    type: "STATIC",
    connect_timeout: "5s",
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: address(port) } }] }],
    },
    ...(tls && { transport_socket: { name: "tls", typed_config: context } }),
  });
}

/** A certificate with its key, from files. */
export function certificateResource(name: string, { certificate, key }: CertificateFiles): SnapshotResource {
  return encode(name, SecretSchema, {
    tls_certificate: { certificate_chain: inline(certificate), private_key: inline(key) },
  });
}

/** A certificate that is trusted, from a file. */
export function authorityResource(name: string, { certificate }: CertificateFiles): SnapshotResource {
  return encode(name, SecretSchema, { validation_context: { trusted_ca: inline(certificate) } });
}

function inline(file: string): JsonObject {
  return { inline_string: readFileSync(file, "utf8") };
}
