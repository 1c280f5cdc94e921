import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { freePort } from "../peers/ports.ts";
import { fuzzRuns, isUsualSeed, seed } from "../peers/properties.ts";
import { clusterJson, startTwins, type Twins } from "../peers/twins/twins.ts";
import { compareExchanges } from "./compare.ts";
import { unintended } from "./differences.ts";
import { randomRouting } from "./random/routing.ts";

const requestsPerTable = 15;
const cases = randomRouting(seed, fuzzRuns(48), requestsPerTable);
let twins: Twins;

before(async () => {
  twins = await startTwins({
    connections: cases.map(({ connection }) => connection),
    upstreams: ["up", "other"],
    clusters: [
      { ...clusterJson("empty", 1), load_assignment: { cluster_name: "empty" } },
      clusterJson("refusing", await freePort()),
    ],
  });
});

after(() => twins?.close());

test(`routes do in the gateway what they do in Envoy (seed ${seed})`, async () => {
  const kinds = new Map<string, number>();
  const different: object[] = [];
  for (const [table, { requests }] of cases.entries()) {
    for (const { request, answer } of requests) {
      for (const name of twins.upstreamPorts.keys()) twins.setAnswer(answer, name);
      const both = await twins.exchange(table, request);
      const kind = both.envoy.upstream.length > 0 ? "forwarded" : String(both.envoy.answer.status);
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
      const differences = unintended(compareExchanges(both), { request, envoy: both.envoy });
      if (differences.length > 0) different.push({ table, request, answer, differences });
    }
  }
  assert.deepEqual(different.slice(0, 5), [], `${different.length} requests differ`);
  if (!isUsualSeed) return;
  for (const kind of ["forwarded", "200", "301", "307", "400", "404", "503"])
    assert.ok(kinds.get(kind), `no request came to ${kind}`);
});
