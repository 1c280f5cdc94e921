import type { ExtensionConfigSource } from "../gen/envoy/config/core/v3/config_source_pb.ts";
import type { HttpFilter } from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { requireAds } from "./config-source.ts";
import { decodeFilter, filterTypeUrls, isKnownFilter } from "./filter-config.ts";
import type { HttpFilterSlot } from "./gateway-config.ts";
import { refuse, within, withinEach } from "./refused-config.ts";

/** Compiles the HTTP filters of a connection manager, in their order. */
export function compileHttpFilters(filters: readonly HttpFilter[]): HttpFilterSlot[] {
  const slots = withinEach("http_filters", filters, compileSlot).filter((slot) => slot !== undefined);
  for (const [index, slot] of slots.entries()) {
    const isRouter = slot.kind === "inline" && slot.config.kind === "router";
    const isLast = index === slots.length - 1;
    if (isRouter && !isLast) {
      refuse(
        "http_filters",
        `Error: terminal filter named ${slot.name} must be the last filter in a http filter chain.`,
      );
    }
    if (isLast && !isRouter) {
      refuse(
        "http_filters",
        `Error: non-terminal filter named ${slot.name} is the last filter in a http filter chain.`,
      );
    }
  }
  if (slots.length === 0) refuse("http_filters", "there is no filter; the last one has to be the router");
  return slots;
}

function compileSlot(filter: HttpFilter): HttpFilterSlot | undefined {
  const { name, configType: by, disabled } = filter;
  if (name === "") refuse("name", "value length must be at least 1 characters");
  if (by.case === "configDiscovery")
    return within("config_discovery", () => compileDiscovery(name, by.value, disabled));
  if (by.case !== "typedConfig") return refuse("config_type", "is required");
  if (filter.isOptional && !isKnownFilter(by.value)) return undefined;
  return {
    kind: "inline",
    name,
    config: within("typed_config", () => decodeFilter(name, by.value)),
    disabled,
  };
}

function compileDiscovery(name: string, source: ExtensionConfigSource, disabled: boolean): HttpFilterSlot {
  requireAds(source.configSource);
  const { typeUrls, defaultConfig, applyDefaultConfigWithoutWarming } = source;
  if (typeUrls.length === 0) refuse("type_urls", "value must contain at least 1 item(s)");
  for (const typeUrl of typeUrls) {
    if (!filterTypeUrls.has(typeUrl)) {
      refuse("type_urls", `Error: no filter factory found for a required type URL ${typeUrl}.`);
    }
  }
  if (defaultConfig && !typeUrls.includes(defaultConfig.typeUrl)) {
    refuse(
      "default_config",
      `Error: cannot find filter factory ${name} for default filter configuration with type URL ${defaultConfig.typeUrl}.`,
    );
  }
  return {
    kind: "discovery",
    name,
    typeUrls,
    defaultConfig: defaultConfig && within("default_config", () => decodeFilter(name, defaultConfig)),
    applyDefaultWithoutWarming: applyDefaultConfigWithoutWarming,
    disabled,
  };
}
