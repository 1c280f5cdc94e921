// What rules cost. `node --import tsx bench/rules.ts [KIND…]` prints, for each kind of rule, what a stream costs that the last of 1, 100,
// 10,000 and 100,000 rules matches, and how long a configuration takes to be read.
import { readFile } from "node:fs/promises";
import { compileModule } from "../sdk/test/modules.ts";
import {
  createLocalOutside,
  createPluginHost,
  FilterChain,
  type HeaderLine,
  HeaderMap,
  type Plugin,
  type StreamHost,
} from "../src/proxy-wasm/index.ts";
import { nowhere } from "./sample-streams.ts";

const counts = [1, 100, 10_000, 100_000];
const perRound = 20_000;
const rounds = 9;

/** What the last of `count` rules looks like, and the stream that it matches. */
interface Kind {
  rule(number: number): Record<string, string[]>;
  stream(last: number): { host: string; route?: string; cluster?: string };
}

const kinds: Record<string, Kind> = {
  host: {
    rule: (i) => ({ _match_domain_: [`d${i}.example.com`] }),
    stream: (last) => ({ host: `d${last}.example.com:443` }),
  },
  "wildcard host": {
    rule: (i) => ({ _match_domain_: [`*.d${i}.example.com`] }),
    stream: (last) => ({ host: `www.d${last}.example.com` }),
  },
  route: {
    rule: (i) => ({ _match_route_: [`ns/route-${i}`] }),
    stream: (last) => ({ host: "a", route: `ns/route-${last}` }),
  },
  "route prefix": {
    rule: (i) => ({ _match_route_prefix_: [`ns/route-${i}-`] }),
    stream: (last) => ({ host: "a", route: `ns/route-${last}-x` }),
  },
  service: {
    rule: (i) => ({ _match_service_: [`s${i}.ns.svc.cluster.local:80`] }),
    stream: (last) => ({ host: "a", cluster: `outbound|80||s${last}.ns.svc.cluster.local` }),
  },
  "wildcard service": {
    rule: (i) => ({ _match_service_: [`*.ns${i}.svc.cluster.local`] }),
    stream: (last) => ({ host: "a", cluster: `outbound|80||s.ns${last}.svc.cluster.local` }),
  },
  "route and service": {
    rule: (i) => ({ _match_route_: ["ns/route"], _match_service_: [`s${i}.dns`] }),
    stream: (last) => ({ host: "a", route: "ns/route", cluster: `outbound|80||s${last}.dns` }),
  },
};

const file = await compileModule("sdk/fixture/isolation.ts", "build/bench/rules.wasm");
const bytes = await readFile(file);

const chosen = process.argv.slice(2);
for (const [name, kind] of Object.entries(kinds)) {
  if (chosen.length > 0 && !chosen.includes(name)) continue;
  const figures = [];
  for (const count of counts) {
    const { plugin, parseMs } = await start(kind, count);
    figures.push({ count, ns: measure(plugin, kind, count - 1), parseMs });
    plugin.close();
  }
  const alone = figures[0]!.ns;
  const line = figures.map(
    ({ count, ns, parseMs }) =>
      `${count}: ${ns.toFixed(0)} ns (${ns < alone ? "" : "+"}${(ns - alone).toFixed(0)}), read in ${parseMs.toFixed(1)} ms`,
  );
  console.log(`${name.padEnd(18)} ${line.join(" · ")}`);
}

async function start(kind: Kind, count: number): Promise<{ plugin: Plugin; parseMs: number }> {
  const rules = Array.from({ length: count }, (_, i) => ({ ...kind.rule(i), value: "v" }));
  const configuration = JSON.stringify({ value: "global", _rules_: rules });
  let parseMs = Number.POSITIVE_INFINITY;
  let plugin: Plugin | undefined;
  // A Vm of its own each time, and the least time: V8 compiles the module better while it runs.
  for (let i = 0; i < 3; i++) {
    plugin?.close();
    const host = createPluginHost(createLocalOutside());
    const module = await host.compile(bytes);
    const begin = process.cpuUsage();
    plugin = host.start({ name: "rules", module, configuration });
    const { user, system } = process.cpuUsage(begin);
    parseMs = Math.min(parseMs, (user + system) / 1000);
  }
  return { plugin: plugin!, parseMs };
}

/** The least CPU time of a stream over some rounds, in ns. */
function measure(plugin: Plugin, kind: Kind, last: number): number {
  const { host, route, cluster } = kind.stream(last);
  const stream: StreamHost = {
    ...nowhere,
    property: (path) =>
      path.at(-1) === "route_name" ? route : path.at(-1) === "cluster_name" ? cluster : undefined,
  };
  const lines: HeaderLine[] = [
    [":authority", host],
    [":path", "/"],
    [":method", "GET"],
    [":scheme", "http"],
  ];
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round <= rounds; round++) {
    const begin = process.cpuUsage();
    for (let i = 0; i < perRound; i++) {
      const chain = new FilterChain([plugin], stream);
      const headers = new HeaderMap(lines.slice());
      chain.requestHeaders(headers, true);
      if (i === 0 && headers.get("x-config") === undefined) throw new Error("no rule matched");
      chain.end();
    }
    const { user, system } = process.cpuUsage(begin);
    if (round > 0) least = Math.min(least, ((user + system) * 1000) / perRound);
  }
  return least;
}
