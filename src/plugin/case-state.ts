import type { FilterChain, PropertyValue, Stores } from "../proxy-wasm/index.ts";
import { encodeProperty } from "../proxy-wasm/property-values.ts";
import { bytesOfText, textOfBytes } from "./case-text.ts";

/** Counters and gauges by name; of a histogram the count of its values. */
export function caseMetrics({ metrics }: Stores): ReadonlyMap<string, number> {
  return new Map(
    metrics
      .snapshot()
      .map((metric) => [
        metric.name,
        "histogram" in metric ? metric.histogram.count : Number(BigInt.asIntN(64, metric.value)),
      ]),
  );
}

/** A property as the next plugin would find it, by its parts with dots between them, or as a whole. */
export function readProperty(chain: FilterChain, name: string): string | undefined {
  const path = bytesOfText(name);
  const { request, response } = chain;
  const view = {
    request: request.headers,
    response: response.headers,
    responseTrailers: response.trailers,
  };
  const value = chain.property(path.split("."), view) ?? chain.property([path], view);
  return value === undefined ? undefined : textOfProperty(value);
}

function textOfProperty(value: PropertyValue): string {
  const bytes = encodeProperty(value);
  const isText = typeof value === "string" || value instanceof Uint8Array;
  const text = isText ? textOfBytes(bytes) : undefined;
  if (text === undefined || text.startsWith("base64:")) return Buffer.from(bytes).toString("hex");
  return text;
}
