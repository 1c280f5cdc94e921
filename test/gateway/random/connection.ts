import { fc } from "../../peers/properties.ts";
import { pick } from "./values.ts";

/** What a connection manager does to headers and paths, besides its routes. */
export const connectionOptions = fc
  .tuple(
    pick([
      {},
      {},
      { use_remote_address: true },
      { use_remote_address: true, skip_xff_append: true },
      { use_remote_address: true, xff_num_trusted_hops: 1 },
      { use_remote_address: false, xff_num_trusted_hops: 1 },
    ]),
    pick([
      {},
      {},
      { server_name: "own" },
      { server_header_transformation: "APPEND_IF_ABSENT" },
      { server_header_transformation: "PASS_THROUGH" },
    ]),
    pick([{}, {}, { via: "wasmline" }]),
    pick([{}, {}, { generate_request_id: false }, { preserve_external_request_id: true }]),
    pick([
      {},
      { normalize_path: true },
      { normalize_path: true, merge_slashes: true },
      { merge_slashes: true },
    ]),
    pick(["KEEP_UNCHANGED", "REJECT_REQUEST", "UNESCAPE_AND_REDIRECT", "UNESCAPE_AND_FORWARD"]),
    pick([{}, {}, { suppress_envoy_headers: true }, { respect_expected_rq_timeout: true }]),
  )
  .map(([address, server, via, id, path, escaped, router]) => ({
    ...{ ...address, ...server, ...via, ...id, ...path, path_with_escaped_slashes_action: escaped },
    http_filters: [
      {
        name: "router",
        typed_config: {
          "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
          ...router,
        },
      },
    ],
  }));
