import type { ConfigSource } from "../gen/envoy/config/core/v3/config_source_pb.ts";
import { refuse } from "./refused-config.ts";

/** Refuses a source other than ADS: there is one server. */
export function requireAds(source: ConfigSource | undefined): void {
  const kind = source?.configSourceSpecifier.case;
  if (kind !== "ads") refuse("config_source", `only ads is supported${kind ? `, not ${kind}` : ""}`);
}
