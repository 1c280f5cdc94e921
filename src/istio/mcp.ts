import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { AnySchema, anyPack } from "@bufbuild/protobuf/wkt";
import { TrafficExtensionSchema } from "../gen/istio/extensions/v1alpha1/traffic_extension_pb.ts";
import { type WasmPlugin, WasmPluginSchema } from "../gen/istio/extensions/v1alpha1/wasm_pb.ts";
import { ResourceSchema } from "../gen/istio/mcp/v1alpha1/resource_pb.ts";
import { SystemError } from "../system-error.ts";
import { contentHash, rawResource, type SnapshotResource } from "../xds/snapshot.ts";
import type { IstioConfig, IstioKind } from "./config.ts";
import { keepConfigEncoded } from "./encoded-config.ts";
import { kinds } from "./kinds.ts";

/** Go's zero time: what Higress sends for every resource, so that equal priorities are ordered by name. */
const zeroTime = { seconds: -62135596800n, nanos: 0 };

/** Says in a resource's annotations that its configuration holds values from Secrets, which dumps must not show. */
export const holdsSecretsAnnotation = "wasmline.io/holds-secrets";

/**
 * One Istio resource as MCP carries it. `metadata.version` is a hash of this resource alone: istiods ignore a change
 * under the same version, and re-pull nothing while it stays.
 */
export function encodeMcp(config: IstioConfig): SnapshotResource {
  const { schema } = kinds[config.kind];
  const spec = toBinary(schema, config.spec);
  const resource = encodeBody(config, `type.googleapis.com/${schema.typeName}`, spec);
  // The spec is what the resource ends with: the last field of its last field.
  if (isWasmPlugin(config)) keepConfigEncoded(config.spec, resource.value.subarray(-spec.length));
  return resource;
}

function isWasmPlugin(config: IstioConfig): config is IstioConfig<"WasmPlugin"> {
  return config.kind === "WasmPlugin";
}

/** A WasmPlugin in the form that istiods of 1.30 and later want. */
export function encodeTrafficExtension(config: IstioConfig<"WasmPlugin">): SnapshotResource {
  const value = toBinary(TrafficExtensionSchema, toTrafficExtension(config.spec));
  return encodeBody(config, `type.googleapis.com/${TrafficExtensionSchema.typeName}`, value);
}

function encodeBody(
  { namespace, name, annotations, shownSpec }: IstioConfig,
  typeUrl: string,
  value: Uint8Array,
) {
  const fullName = `${namespace}/${name}`;
  const marked = shownSpec ? { ...annotations, [holdsSecretsAnnotation]: "true" } : { ...annotations };
  const version = contentHash(value, JSON.stringify(marked));
  const resource = create(ResourceSchema, {
    metadata: {
      name: fullName,
      createTime: zeroTime,
      version,
      annotations: marked,
    },
    body: create(AnySchema, { typeUrl, value }),
  });
  const packed = anyPack(ResourceSchema, resource);
  return { ...rawResource(fullName, packed.typeUrl, packed.value), source: version };
}

function toTrafficExtension(spec: WasmPlugin) {
  const { selector, targetRefs, priority, match, phase, ...wasm } = spec;
  const { url, sha256, imagePullPolicy, imagePullSecret, verificationKey, pluginConfig } = wasm;
  const { pluginName, failStrategy, vmConfig, type } = wasm;
  return create(TrafficExtensionSchema, {
    selector,
    targetRefs,
    // The numbers of the two enums are the same.
    phase: phase as number,
    priority,
    match: match.map(({ mode, ports }) => ({ mode, ports })),
    wasm: {
      url,
      sha256,
      imagePullPolicy,
      imagePullSecret,
      verificationKey,
      pluginConfig,
      pluginName,
      failStrategy,
      vmConfig,
      type,
    },
  });
}

/** The "namespace/name" of an encoded MCP resource. */
export function mcpName(value: Uint8Array): string {
  return fromBinary(ResourceSchema, value).metadata?.name ?? "";
}

/**
 * Reads one MCP resource of a kind.
 * @throws SystemError("xds") where it is not what the type says or its name is not "namespace/name"
 */
export function decodeMcp<K extends IstioKind>(kind: K, value: Uint8Array): IstioConfig<K> {
  const { schema } = kinds[kind];
  const { metadata, body } = fromBinary(ResourceSchema, value);
  const [namespace, name, ...rest] = metadata?.name.split("/") ?? [];
  if (!metadata || !namespace || !name || rest.length > 0) {
    throw new SystemError(
      "xds",
      `MCP ${kind} with the name ${JSON.stringify(metadata?.name ?? "")}, expected "namespace/name"`,
    );
  }
  if (body?.typeUrl !== `type.googleapis.com/${schema.typeName}`) {
    throw new SystemError(
      "xds",
      `MCP ${kind} ${metadata.name} with a body of ${body?.typeUrl ?? "nothing"}, expected ${schema.typeName}`,
    );
  }
  const { version, annotations } = metadata;
  const config = {
    kind,
    namespace,
    name,
    version,
    annotations,
    spec: fromBinary(schema, body.value),
  } as IstioConfig<K>;
  if (!isWasmPlugin(config)) return config;
  keepConfigEncoded(config.spec, body.value);
  if (!annotations[holdsSecretsAnnotation]) return config;
  return { ...config, shownSpec: withoutTexts(config.spec) as IstioConfig<K>["spec"] };
}

/** What may be shown of a WasmPlugin whose texts hold values from Secrets: the templates stayed with core. */
function withoutTexts(spec: WasmPlugin): WasmPlugin {
  const { selector, imagePullPolicy, phase, priority, failStrategy } = spec;
  return create(WasmPluginSchema, { selector, imagePullPolicy, phase, priority, failStrategy });
}
