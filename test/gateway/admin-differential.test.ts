import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, suite, test } from "node:test";
import { type AdminPair, type PairSide, startAdminPair } from "../peers/admin-pair.ts";
import { get } from "../peers/request.ts";
import { getSecure } from "../peers/secure-request.ts";
import { until } from "../peers/until.ts";

let pair: AdminPair;
/** `/fail` fails, `/slow` never answers. */
const upstream = createServer(({ url = "" }, response) => {
  if (url.startsWith("/fail")) response.statusCode = 503;
  if (!url.startsWith("/slow")) response.end("hello");
});
const sides = () => [pair.envoy, pair.gateway];

before(async () => {
  await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
  pair = await startAdminPair({ upstreamPort: (upstream.address() as AddressInfo).port, deadPort: 1 });
  for (const side of sides()) await untilLive(side);
  pair.breakListener();
  pair.editPlugin("coffee.com");
  for (const { ports } of sides())
    await until(
      "the edit is in effect",
      async () => (await get(ports.plain, "/", "coffee.com")).status === 418,
    );
  for (const { admin } of sides())
    await until("the broken listener was refused", async () => (await pages(admin)).rejections === 1);
  for (const { admin } of sides()) await get(admin, "/stats?filter=nothing");
  for (const side of sides()) await sendTraffic(side);
  for (const { admin } of sides())
    await until("an interval of histograms has ended", async () => {
      const { body } = await get(
        admin,
        "/stats?format=json&filter=plain.downstream_rq_time&histogram_buckets=detailed",
      );
      const [histogram] = JSON.parse(body).stats.at(-1).histograms.details;
      return histogram.intervals.length > 0;
    });
});

after(async () => {
  upstream.closeAllConnections();
  upstream.close();
  await pair?.close();
});

async function untilLive({ admin, ports }: PairSide): Promise<void> {
  await until("it is live", async () => (await get(admin, "/ready")).body === "LIVE\n", 30_000);
  await until(
    "the listener is open",
    async () => (await get(ports.plain, "/direct", "example.com")).status === 201,
  );
}

/** The same for both: every kind of answer, of one connection each. */
async function sendTraffic({ admin, ports }: PairSide): Promise<void> {
  const post = { method: "POST" };
  await fetch(`http://127.0.0.1:${admin}/reset_counters`, post);
  for (const [path, status] of [
    ["/a", 200],
    ["/b", 200],
    ["/dead", 503],
    ["/direct", 201],
    ["/redirect", 301],
    ["/fail", 503],
    ["/slow", 504],
  ] as const)
    assert.equal((await get(ports.plain, path, "example.com")).status, status, path);
  assert.equal((await get(ports.plain, "/", "no.route")).status, 404);
  assert.equal((await get(ports.plain, "/", "coffee.com")).status, 418);
  assert.equal((await getSecure(ports.secure, "http/1.1")).status, 200);
  assert.equal((await getSecure(ports.secure, "h2")).status, 200);
}

/** How often the listeners' type was refused, as its counter says. */
async function pages(admin: number): Promise<{ readonly rejections: number }> {
  const { body } = await get(admin, "/stats?filter=lds.update_rejected");
  return { rejections: Number(body.split(": ")[1]) > 0 ? 1 : 0 };
}

/** Where each value of a JSON is and of what type; of lists what their items have together. */
function shapeOf(value: unknown, at = ""): string[] {
  if (Array.isArray(value))
    return value.length === 0 ? [`${at}=[]`] : value.flatMap((item) => shapeOf(item, `${at}[]`));
  if (typeof value !== "object" || value === null)
    return [`${at}: ${value === null ? "null" : typeof value}`];
  const entries = Object.entries(value);
  return entries.length === 0
    ? [`${at}={}`]
    : entries.flatMap(([name, item]) => shapeOf(item, `${at}.${name}`));
}

const difference = (a: readonly string[], b: readonly string[]) => {
  const known = new Set(b);
  return [...new Set(a)].filter((item) => !known.has(item)).sort();
};

/** What Envoy has of its bootstrap and build, and a gateway that has none of it has not; intervals, which end at any moment. */
const ofEnvoyOnly =
  /\.bootstrap\.(?!node\.(id|cluster|user_agent))|\.static_clusters|\.static_endpoint_configs|WASMLINE_ECDS_REMOVALS|\.type_urls\[\]|_policy\.retry_back_off|user_agent_build_version\.version\.patch|\.intervals?(\[|:)|=\[\]$/;

suite("pages of JSON have Envoy's shapes", () => {
  for (const path of [
    "/listeners?format=json",
    "/clusters?format=json",
    "/server_info",
    "/certs",
    "/memory",
    "/init_dump",
    "/config_dump",
    "/config_dump?include_eds",
    "/config_dump?resource=dynamic_listeners",
    "/config_dump?resource=dynamic_active_clusters&mask=cluster.name,version_info",
    "/config_dump?resource=dynamic_route_configs&mask=route_config.virtual_hosts",
    "/config_dump?name_regex=p.*",
    "/config_dump?mask=version_info",
    "/stats?format=json",
    "/stats?format=json&histogram_buckets=detailed",
    "/stats?format=json&histogram_buckets=cumulative",
    "/stats?format=json&histogram_buckets=disjoint",
  ])
    test(path, async () => {
      const [envoy, gateway] = await Promise.all(
        sides().map(async ({ admin }) => {
          const answer = await get(admin, path);
          assert.equal(answer.status, 200);
          return { type: answer.headers["content-type"], shape: shapeOf(JSON.parse(answer.body)) };
        }),
      );
      assert.equal(gateway!.type, envoy!.type);
      assert.deepEqual(
        difference(gateway!.shape, envoy!.shape).filter((item) => !ofEnvoyOnly.test(item)),
        [],
      );
      assert.deepEqual(
        difference(envoy!.shape, gateway!.shape).filter((item) => !ofEnvoyOnly.test(item)),
        [],
      );
    });
});

/** Names of figures with the port of each listener taken out. */
async function readStats(admin: number, query = ""): Promise<Map<string, string>> {
  const { body } = await get(admin, `/stats${query}`);
  const lines = body.split("\n").filter((line) => line.includes(": "));
  const names = new Map([
    [String(pair.envoy.ports.plain), "P"],
    [String(pair.envoy.ports.secure), "S"],
  ]);
  names.set(String(pair.gateway.ports.plain), "P").set(String(pair.gateway.ports.secure), "S");
  return new Map(
    lines.map((line) => {
      const at = line.indexOf(": ");
      const name = line.slice(0, at).replace(/127\.0\.0\.1_(\d+)/, (_, port) => names.get(port) ?? "?");
      return [name, line.slice(at + 2)];
    }),
  );
}

/** What Envoy counts of itself, and of things that are not here. */
const notHere = [
  /^cluster\.xds-grpc\./,
  /^cluster\.[^.]+\.http[12]\./,
  /^http[12]\./,
  /^http\.(admin|async-client)\./,
  /^listener\.admin\./,
  /^(overload|envoy|thread_local_cluster_manager|dns|tcmalloc)\./,
  /^wasm\.envoy\.wasm\.runtime\.v8\.created$/,
  /\.ssl\.(curves|sigalgs)\./,
  /\.connections_accepted_per_socket_event$/,
];

suite("figures have Envoy's names", () => {
  test("all that Envoy has", async () => {
    const [envoy, gateway] = [await readStats(pair.envoy.admin), await readStats(pair.gateway.admin)];
    const missing = difference([...envoy.keys()], [...gateway.keys()]);
    assert.deepEqual(
      missing.filter((name) => !notHere.some((pattern) => pattern.test(name))),
      [],
    );
    assert.deepEqual(difference([...gateway.keys()], [...envoy.keys()]), []);
  });

  test("of the same kinds, in Prometheus with the same labels", async () => {
    const families = async ({ admin, ports }: PairSide) => {
      const { body } = await get(admin, "/stats/prometheus?text_readouts");
      const lines = body
        .replaceAll(`_${ports.plain}"`, '_P"')
        .replaceAll(`_${ports.secure}"`, '_S"')
        .split("\n");
      const isBucket = (line: string) => line.includes("_bucket{");
      const series = lines.filter(
        (line) => line !== "" && !isBucket(line) && !/xds-grpc|"admin"|"async-client"/.test(line),
      );
      return series.map((line) =>
        line.startsWith("#")
          ? line
          : line.slice(0, line.lastIndexOf(" ")).replace(/text_value="[^"]*"/, "text_value"),
      );
    };
    const [envoy, gateway] = [await families(pair.envoy), await families(pair.gateway)];
    const isHere = (line: string) =>
      !/envoy_(cluster_)?http[12]_|envoy_(listener_admin|overload|thread_local|dns|envoy|cluster_internal)|runtime_v8_created|ssl_(curves|sigalgs)|accepted_per_socket|response_code.*internal/.test(
        line,
      );
    assert.deepEqual(difference(envoy, gateway).filter(isHere), []);
    assert.deepEqual(difference(gateway, envoy), []);
  });
});

/** Those that the traffic decides, whatever the time that it took. */
const exact = [
  ...["2xx", "3xx", "4xx", "5xx", "total", "completed", "http1_total", "http2_total"].map(
    (name) => `downstream_rq_${name}`,
  ),
  ...["no_route", "no_cluster", "rq_total", "rq_direct_response", "rq_redirect", "downstream_cx_ssl_total"],
  ...[
    "downstream_cx_rx_bytes_total",
    "downstream_rq_active",
    "downstream_cx_http2_total",
    "downstream_rq_rx_reset",
  ],
].flatMap((name) => [`http.plain.${name}`, `http.secure.${name}`]);

const exactOfClusters = [
  ...[
    "200",
    "503",
    "504",
    "2xx",
    "5xx",
    "completed",
    "total",
    "retry",
    "retry_limit_exceeded",
    "retry_success",
  ],
  ...["timeout", "pending_failure_eject", "active", "pending_active"],
].map((name) => `upstream_rq_${name}`);
const exactConnections = ["upstream_cx_connect_fail", "upstream_cx_http2_total", "membership_healthy"];
const exactNames = [
  ...exact,
  ...[...exactOfClusters, ...exactConnections].flatMap((name) => [
    `cluster.up.${name}`,
    `cluster.dead.${name}`,
  ]),
  ...["external.upstream_rq_200", "retry.upstream_rq_503", "external.upstream_rq_504"].map(
    (name) => `cluster.up.${name}`,
  ),
  ...["listener.S.ssl.handshake", "listener.S.ssl.no_certificate", "listener.S.ssl.versions.TLSv1.3"],
  ...["listener.P.http.plain.downstream_rq_2xx", "listener.P.http.plain.downstream_rq_5xx"],
  ...[
    "control_plane.connected_state",
    "listener_manager.total_listeners_active",
    "listener_manager.listener_modified",
  ],
  ...[
    "server.live",
    "server.state",
    "wasm.plugin.vm_reload",
    "cluster.up.version",
    "http.plain.rds.routes.version",
  ],
];

test("figures that the traffic decides have Envoy's values", async () => {
  const [envoy, gateway] = [await readStats(pair.envoy.admin), await readStats(pair.gateway.admin)];
  const of = (stats: ReadonlyMap<string, string>) => exactNames.map((name) => `${name}: ${stats.get(name)}`);
  assert.deepEqual(of(gateway), of(envoy));
});

test("metrics of plugins have Envoy's names and values", async () => {
  const read = async ({ admin }: PairSide) => {
    const { body } = await get(admin, "/stats/prometheus?filter=wasmcustom");
    // Histograms are not reset, and have the requests before the traffic in them.
    return body
      .split("\n")
      .map((line) => (line.startsWith("pair_times") ? line.slice(0, line.lastIndexOf(" ")) : line));
  };
  const counters = async ({ admin }: PairSide) =>
    (await get(admin, "/stats?filter=wasmcustom&type=Counters")).body;
  assert.equal(await counters(pair.gateway), await counters(pair.envoy));
  const gateway = await read(pair.gateway);
  assert.ok(gateway.includes("pair_level{} 40") && gateway.includes('pair_times_bucket{le="+Inf"}'));
  assert.deepEqual(gateway, await read(pair.envoy));
});

test("filters choose the same figures", async () => {
  for (const query of [
    "?filter=http.plain.downstream_rq_.xx",
    "?filter=^cluster.up.upstream_rq&usedonly&type=Counters",
    "?filter=membership&type=Gauges",
    "?filter=downstream_rq_time&type=Histograms",
    "?filter=version_text&type=TextReadouts",
  ]) {
    const [envoy, gateway] = [
      await readStats(pair.envoy.admin, query),
      await readStats(pair.gateway.admin, query),
    ];
    const names = [...envoy.keys()].filter((name) => !notHere.some((pattern) => pattern.test(name)));
    assert.deepEqual([...gateway.keys()], names, query);
  }
});

test("wrong calls get Envoy's answers", async () => {
  for (const [path, isSameText] of [
    ["/reset_counters", true],
    ["/quitquitquit", true],
    ["/stats?type=foo", true],
    ["/stats?format=foo", true],
    ["/stats?histogram_buckets=foo", false],
    ["/stats?filter=(", false],
    ["/config_dump?resource=foo", true],
    ["/config_dump?resource=dynamic_listeners&mask=foo.bar", false],
    ["/config_dump?resource=dynamic_route_configs&mask=route_config.virtual_hosts.domains", false],
    ["/config_dump?name_regex=(", false],
    ["/logging", true],
    ["/foo", false],
  ] as const) {
    const [envoy, gateway] = await Promise.all(sides().map(({ admin }) => get(admin, path)));
    assert.equal(gateway!.status, envoy!.status, path);
    if (isSameText) assert.equal(gateway!.body, envoy!.body, path);
  }
  const [envoy, gateway] = await Promise.all(sides().map(({ admin }) => get(admin, "/foo")));
  const commands = ({ body }: { readonly body: string }) =>
    [...body.matchAll(/^ {2}(\/\S*)( \(POST\))?:/gm)].map(([line]) => line);
  const absent = [/tap/, /recentlookups\/(enable|disable|clear)/, /reset_recent/];
  // Ours: wasmline plugin record asks it.
  assert.deepEqual(difference(commands(gateway!), commands(envoy!)), ["  /record (POST):"]);
  assert.deepEqual(
    difference(commands(envoy!), commands(gateway!)).filter(
      (line) => !absent.some((pattern) => pattern.test(line)),
    ),
    [],
  );
});

test("levels of loggers change as Envoy's do", async () => {
  const post = async (admin: number, query: string) => {
    const answer = await fetch(`http://127.0.0.1:${admin}/logging${query}`, { method: "POST" });
    const lines = (await answer.text()).split("\n");
    return [answer.status, lines[0], ...lines.filter((line) => /^ {2}(wasm|http|main): /.test(line))];
  };
  for (const query of [
    "?level=warning",
    "?wasm=debug",
    "?paths=http:debug,main:error",
    "?wasm=foo",
    "?nope=info",
    "?level=foo",
    "?level=info&wasm=debug",
    "",
    "?level=warning",
  ])
    assert.deepEqual(await post(pair.gateway.admin, query), await post(pair.envoy.admin, query), query);
});

test("no page has a key", async () => {
  const { key } = pair;
  const body = key.replace(/-----.*-----|\s/g, "");
  for (const path of [
    "/config_dump?include_eds",
    "/config_dump?resource=dynamic_active_secrets",
    "/certs",
    "/stats",
    "/init_dump",
  ]) {
    const { body: page } = await get(pair.gateway.admin, path);
    for (const secret of [body, Buffer.from(key).toString("base64")]) assert.ok(!page.includes(secret), path);
  }
});
