import { getJson } from "../e2e/status.ts";

/** An HTTP filter as a gateway's `/config_dump` shows it. */
export interface HttpFilter {
  readonly name: string;
  readonly config_discovery?: { readonly default_config?: { readonly "@type": string } };
}

interface ListenerDump {
  readonly active_state: {
    readonly listener: {
      readonly filter_chains: readonly {
        readonly filters: readonly {
          readonly typed_config: { readonly http_filters: readonly HttpFilter[] };
        }[];
      }[];
    };
  };
}

/** The HTTP filters of the one listener in a gateway's own dump. */
export async function httpFiltersOf(adminPort: number): Promise<readonly HttpFilter[]> {
  const path = "/config_dump?resource=dynamic_listeners";
  const { configs } = await getJson<{ configs: readonly ListenerDump[] }>(adminPort, path);
  if (configs.length !== 1) throw new Error(`${configs.length} listeners: expected one`);
  return configs[0]!.active_state.listener.filter_chains[0]!.filters[0]!.typed_config.http_filters;
}
