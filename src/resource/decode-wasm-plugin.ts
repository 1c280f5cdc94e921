import { enumOf, message, quotableInt32 } from "./decode-message.ts";
import type { Decoder } from "./decoder.ts";
import { bool, listOf, string, struct } from "./decoders.ts";
import type { EnvVar, MatchRule, WasmPluginSpec } from "./types.ts";

const envVar = message<EnvVar>(
  { name: string, value: string, valueFrom: enumOf({ INLINE: 0, HOST: 1 }) },
  { name: "", value: "", valueFrom: 0 },
);

const matchRule = message<MatchRule>(
  {
    ingress: listOf(string),
    domain: listOf(string),
    service: listOf(string),
    config: struct,
    configDisable: bool,
    routeType: enumOf({ HTTP: 0, GRPC: 1 }),
  },
  { ingress: [], domain: [], service: [], routeType: 0 },
);

const emptySpec: WasmPluginSpec = {
  url: "",
  sha256: "",
  imagePullPolicy: 0,
  imagePullSecret: "",
  verificationKey: "",
  pluginName: "",
  phase: 0,
  failStrategy: 0,
  matchRules: [],
};

const istioFields = new Set(["selector", "match", "type", "targetRef", "targetRefs"]);

const wasmPluginSpec = message<WasmPluginSpec>(
  {
    url: string,
    sha256: string,
    imagePullPolicy: enumOf({ UNSPECIFIED_POLICY: 0, IfNotPresent: 1, Always: 2 }),
    imagePullSecret: string,
    verificationKey: string,
    pluginConfig: struct,
    pluginName: string,
    phase: enumOf({ UNSPECIFIED_PHASE: 0, AUTHN: 1, AUTHZ: 2, STATS: 3 }),
    priority: quotableInt32,
    vmConfig: message<{ env: readonly EnvVar[] }>({ env: listOf(envVar) }, { env: [] }),
    failStrategy: enumOf({ FAIL_CLOSE: 0, FAIL_OPEN: 1 }),
    defaultConfig: struct,
    matchRules: listOf(matchRule),
    defaultConfigDisable: bool,
  },
  emptySpec,
  (field) =>
    istioFields.has(field)
      ? "only Istio's WasmPlugin has this field; a Higress one runs on the gateway, where defaultConfig and matchRules say"
      : undefined,
);

/**
 * Decodes the `spec` of a Higress WasmPlugin with the leniency of the reference: unset, null or absent is the empty spec.
 * Every error goes to the cursor's problems.
 */
export const decodeWasmPluginSpec: Decoder<WasmPluginSpec> = (value, at) => wasmPluginSpec(value ?? null, at);
