/** Variables of a Wasm filter's environment by which discovery tells the agent how to pull. Istio's names; the agent takes them out. */
export const wasmEnv = {
  prefix: "ISTIO_META_",
  pullPolicy: "ISTIO_META_WASM_IMAGE_PULL_POLICY",
  pullSecret: "ISTIO_META_WASM_IMAGE_PULL_SECRET",
  resourceVersion: "ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION",
  /** Not one of Istio's: the sha256 that a file:// module must have. Envoy's local sources have no field for it. */
  localSha256: "ISTIO_META_WASM_LOCAL_SHA256",
} as const;
