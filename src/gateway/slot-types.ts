import { fromBinary } from "@bufbuild/protobuf";
import { TypedExtensionConfigSchema } from "../gen/envoy/config/core/v3/extension_pb.ts";
import type { GatewayConfig, Listener } from "./gateway-config.ts";
import { refuse } from "./refused-config.ts";

/** Refuses an extension configuration of a type that a slot of its name does not take. */
export function refuseWrongType(config: GatewayConfig, name: string, bytes: Uint8Array): void {
  const typeUrl = fromBinary(TypedExtensionConfigSchema, bytes).typedConfig?.typeUrl ?? "";
  for (const { config: listener } of config.received.listeners.accepted.values()) {
    for (const typeUrls of slotTypes(listener, name)) {
      if (!typeUrls.includes(typeUrl))
        refuse(
          "typed_config",
          `Error: filter config has type URL ${typeUrl} but expect ${typeUrls.join(", ")}.`,
        );
    }
  }
}

function slotTypes({ chains, defaultChain }: Listener, name: string): (readonly string[])[] {
  return [...chains, ...(defaultChain ? [defaultChain] : [])].flatMap(({ http }) =>
    http.filters.flatMap((slot) => (slot.kind === "discovery" && slot.name === name ? [slot.typeUrls] : [])),
  );
}
