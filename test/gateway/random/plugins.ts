import { fileURLToPath } from "node:url";
import type { JsonObject } from "@bufbuild/protobuf";

/** A module below build/, and what it is configured with. */
export interface Plugin {
  readonly file: string;
  readonly config: object;
}

/** The plugin that does what its configuration says: for each callback, host functions with their arguments. */
export function probe(script: object): Plugin {
  return { file: "guests/probe-0-2-1", config: { quiet: true, ...script } };
}

/** A plugin as a filter's configuration. */
export function wasm(name: string, { file, config }: Plugin): JsonObject {
  const filename = fileURLToPath(new URL(`../../../build/${file}.wasm`, import.meta.url));
  return {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
    config: {
      name,
      configuration: {
        "@type": "type.googleapis.com/google.protobuf.StringValue",
        value: JSON.stringify(config),
      },
      vm_config: {
        vm_id: file,
        runtime: "envoy.wasm.runtime.v8",
        code: { local: { filename } },
      },
    },
  };
}
