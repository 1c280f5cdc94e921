import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fuzzRuns, isUsualSeed, seed } from "../peers/properties.ts";
import { startTwins, type Twins } from "../peers/twins/twins.ts";
import { compareExchanges } from "./compare.ts";
import { unintended } from "./differences.ts";
import { randomChains } from "./random/chains.ts";

const requestsPerChain = 10;
const cases = randomChains(seed, fuzzRuns(40), requestsPerChain);
let twins: Twins;

before(async () => {
  twins = await startTwins({
    connections: cases.map(({ connection }) => connection),
    extensionConfigs: cases.flatMap(({ extensionConfigs }) => extensionConfigs),
    upstreams: ["up", "other", "called"],
    trailers: true,
  });
});

after(() => twins?.close());

test(`chains of plugins do in the gateway what they do in Envoy (seed ${seed})`, async () => {
  const seen = new Set<string>();
  const different: object[] = [];
  for (const [chain, { requests, connection, extensionConfigs }] of cases.entries()) {
    for (const { request, answer, called } of requests) {
      twins.setAnswer(answer, "up");
      twins.setAnswer(answer, "other");
      twins.setAnswer(called, "called");
      const both = await twins.exchange(chain, request);
      for (const { upstream } of both.envoy.upstream) seen.add(upstream);
      if (both.envoy.answer.headers.some((line) => /^x-details: (plugin|two_words|key-auth)/.test(line)))
        seen.add("reply");
      if (both.envoy.answer.trailers.length > 0) seen.add("trailers");
      const differences = unintended(compareExchanges(both), { request, envoy: both.envoy });
      if (differences.length > 0)
        different.push({ chain, connection, extensionConfigs, request, answer, called, differences });
    }
  }
  assert.deepEqual(different.slice(0, 3), [], `${different.length} requests differ`);
  if (!isUsualSeed) return;
  for (const kind of ["up", "other", "called", "reply", "trailers"])
    assert.ok(seen.has(kind), `no request came to: ${kind}`);
});
