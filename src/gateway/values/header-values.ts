import type { HeaderMap } from "../../proxy-wasm/header-map.ts";
import { type FormatOperator, headerNames } from "../format.ts";
import { withoutQuery } from "../path-match.ts";
import { readQuery } from "../query-match.ts";
import type { Readers } from "./reader.ts";

/** What stands in headers and trailers. */
export const headerValues: Readers = {
  REQ: ({ chain }, operator) => headerValue(chain.request.headers, operator),
  RESP: ({ chain, sentHeaders }, operator, coming) =>
    headerValue(coming?.headers ?? sentHeaders ?? chain.response.headers, operator),
  TRAILER: ({ chain }, operator) => headerValue(chain.response.trailers, operator),
  PATH: ({ chain }, { argument }) => pathOf(chain.request.headers, argument),
  QUERY_PARAM: ({ chain }, { argument = "" }) =>
    decoded(readQuery(chain.request.headers?.get(":path") ?? "").get(argument)),
  QUERY_PARAMS: ({ chain }) => queryOf(chain.request.headers),
  REQUEST_HEADERS_BYTES: ({ chain }) => chain.request.headers?.byteSize,
  RESPONSE_HEADERS_BYTES: ({ sentHeaders }) => sentHeaders?.byteSize,
  RESPONSE_TRAILERS_BYTES: ({ chain }) => chain.response.trailers?.byteSize ?? 0,
};

function headerValue(headers: HeaderMap | undefined, operator: FormatOperator): string | undefined {
  for (const name of headerNames(operator)) {
    const value = headers?.get(name);
    if (value !== undefined) return value;
  }
  return undefined;
}

/** With its percent signs resolved, byte by byte. */
function decoded(text: string | undefined): string | undefined {
  return text?.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

/** As it was sent, whatever form is asked for. */
function queryOf(headers: HeaderMap | undefined): string | undefined {
  const path = headers?.get("x-envoy-original-path") ?? headers?.get(":path") ?? "";
  const at = path.indexOf("?");
  if (at < 0 || at === path.length - 1) return undefined;
  return path.slice(at + 1);
}

/** `WQ` (with the query) or `NQ`, then which path: `ORIG`, `PATH`, or the original where there is one. */
function pathOf(headers: HeaderMap | undefined, argument = ""): string | undefined {
  const [query, which] = argument.split(":", 2);
  const original = which === "PATH" ? undefined : headers?.get("x-envoy-original-path");
  const path = original ?? (which === "ORIG" ? undefined : headers?.get(":path"));
  return query === "NQ" ? path && withoutQuery(path) : path;
}
