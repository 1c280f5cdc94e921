import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { requirePeers } from "../../test/peers/peers.ts";
import { envoyBootstrap } from "./envoy-bootstrap.ts";
import { gatewayNode } from "./node.ts";

const options = {
  node: gatewayNode({ ip: "10.0.0.7" }),
  xdsSocket: "/data/xds.sock",
  adminAddress: "127.0.0.1",
  adminPort: 15000,
  delta: true,
} as const;

test("the bootstrap in full", () => {
  const fromAds = { ads: {}, resource_api_version: "V3", initial_fetch_timeout: "0s" };
  const { metadata, ...node } = gatewayNode({ ip: "10.0.0.7" });
  assert.deepEqual(envoyBootstrap(options), {
    node: { ...node, metadata: { ...metadata, WASMLINE_ECDS_REMOVALS: true } },
    admin: {
      address: { socket_address: { address: "127.0.0.1", port_value: 15000 } },
      ignore_global_conn_limit: true,
    },
    dynamic_resources: {
      ads_config: {
        api_type: "DELTA_GRPC",
        transport_api_version: "V3",
        set_node_on_first_message_only: true,
        grpc_services: [
          {
            envoy_grpc: {
              cluster_name: "xds-grpc",
              retry_policy: { retry_back_off: { base_interval: "0.1s", max_interval: "2s" } },
            },
          },
        ],
      },
      lds_config: fromAds,
      cds_config: fromAds,
    },
    static_resources: {
      clusters: [
        {
          name: "xds-grpc",
          type: "STATIC",
          connect_timeout: "1s",
          load_assignment: {
            cluster_name: "xds-grpc",
            endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: "/data/xds.sock" } } } }] }],
          },
          typed_extension_protocol_options: {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
              "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
              explicit_http_config: {
                http2_protocol_options: { connection_keepalive: { interval: "30s", timeout: "10s" } },
              },
            },
          },
        },
      ],
    },
    stats_config: {
      stats_tags: [
        {
          tag_name: "extension_config",
          regex: "^extension_config_discovery\\.(?:http|network)_filter\\.((.+)\\.)\\w+$",
        },
      ],
    },
    layered_runtime: {
      layers: [{ name: "static", static_layer: { "re2.max_program_size.error_level": 32768 } }],
    },
    overload_manager: {
      resource_monitors: [
        {
          name: "envoy.resource_monitors.global_downstream_max_connections",
          typed_config: {
            "@type":
              "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
            max_active_downstream_connections: 50000,
          },
        },
      ],
    },
  });
});

test("state of the world is the other kind of ADS, and nothing else differs", () => {
  const delta = JSON.stringify(envoyBootstrap(options));
  const world = JSON.stringify(envoyBootstrap({ ...options, delta: false }));
  assert.notEqual(world, delta);
  assert.equal(world, delta.replace('"DELTA_GRPC"', '"GRPC"'));
});

test("Envoy accepts both", async () => {
  const { envoy } = await requirePeers();
  const dir = await mkdtemp(join(tmpdir(), "wasmline-bootstrap-"));
  try {
    for (const delta of [true, false]) {
      const path = join(dir, "bootstrap.json");
      await writeFile(path, JSON.stringify(envoyBootstrap({ ...options, delta, maxConnections: 100 })));
      const { stdout, stderr } = await promisify(execFile)(envoy, ["--mode", "validate", "-c", path]);
      assert.match(stdout + stderr, /configuration .* OK/);
      assert.doesNotMatch(stderr, /deprecated|no configured limit/i);
    }
  } finally {
    await rm(dir, { recursive: true });
  }
});
