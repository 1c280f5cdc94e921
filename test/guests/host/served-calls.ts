import { createActiveClusters } from "../../../src/gateway/active-clusters.ts";
import type { Cluster } from "../../../src/gateway/cluster-config.ts";
import { createGatewayOutside } from "../../../src/gateway/gateway-outside.ts";
import { silentLog } from "../../../src/log.ts";
import { createStores, LogLevel } from "../../../src/proxy-wasm/index.ts";
import { cluster } from "../../peers/gateway-config.ts";
import { until } from "../../peers/until.ts";
import type { CallAnswer } from "../case-file.ts";
import type { CallResult, Received } from "../case-result.ts";
import { answerCall, startUpstream, type Upstream } from "../envoy/upstreams.ts";
import { withoutProxyHeaders } from "../proxy-headers.ts";
import type { CalledUpstreams } from "./calls.ts";

/**
 * What guests call, over the gateway's clusters: HTTP/2 upstreams on ports of their own, as in front of Envoy. `expected`
 * are the calls that a case makes: they take their time.
 */
export function createServedUpstreams(
  expected: () => readonly CallResult[],
): CalledUpstreams & { close(): Promise<void> } {
  const ended = new AbortController();
  const clusters = createActiveClusters();
  const upstreams = new Map<string, Upstream>();
  let answers: CallAnswer[] = [];
  let names: string[] = [];
  const { httpCall, grpcCall, grpcStream } = createGatewayOutside({
    clusters,
    stores: createStores(),
    log: silentLog,
    logLevel: () => LogLevel.Info,
    signal: ended.signal,
  });
  const start = async ({ upstream: name, refuse }: CallAnswer) => {
    if (upstreams.has(name)) return;
    const started = await startUpstream(name, () => {
      const at = answers.findIndex((answer) => answer.upstream === name);
      return answerCall(at < 0 ? undefined : answers.splice(at, 1)[0]);
    });
    if (refuse) await started.close();
    upstreams.set(name, started);
  };
  return {
    outside: { httpCall, grpcCall, grpcStream },
    async begin(next) {
      answers = [...next];
      names = [...new Set(next.map(({ upstream }) => upstream))];
      await start({ upstream: "upstream" });
      await start({ upstream: "other" });
      for (const answer of next) await start(answer);
      const http2 = ({ name, port }: Upstream): [string, Cluster] => [
        name,
        cluster(name, [port], { protocol: "http2", connectTimeoutMs: 2000 }),
      ];
      clusters.apply(new Map([...upstreams.values()].map(http2)));
    },
    async take() {
      const taken: { readonly upstream: string; readonly call: Received }[] = [];
      const bytes = (calls: readonly Received[]) => calls.reduce((sum, { body }) => sum + body.length, 0);
      await until("what the upstreams see", () => {
        for (const upstream of names)
          for (const call of upstreams.get(upstream)!.take()) taken.push({ upstream, call });
        const wanted = expected();
        return taken.length >= wanted.length && bytes(taken.map(({ call }) => call)) >= bytes(wanted);
      });
      return names.flatMap((name) =>
        taken
          .filter(({ upstream }) => upstream === name)
          .map(({ upstream, call }) => ({ upstream, ...withoutProxyHeaders(call) })),
      );
    },
    async close() {
      ended.abort();
      clusters.close();
      for (const upstream of upstreams.values()) await upstream.close().catch(() => {});
    },
  };
}
