import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fuzzRuns, isUsualSeed, seed } from "../peers/properties.ts";
import { startTwins, type Twins } from "../peers/twins/twins.ts";
import { compareExchanges } from "./compare.ts";
import { unintended } from "./differences.ts";
import { randomFilters } from "./random/filters.ts";

const requestsPerCase = 12;
const cases = randomFilters(seed, fuzzRuns(60), requestsPerCase);
let twins: Twins;

before(async () => {
  twins = await startTwins({ connections: cases.map(({ connection }) => connection) });
});

after(() => twins?.close());

/** What a filter makes of a request shows in the details of the answer. */
const kinds = ["rbac_access_denied", "fault_filter_abort", "local_rate_limited", "via_upstream", "DI"];

test(`native filters do in the gateway what they do in Envoy (seed ${seed})`, async () => {
  const seen = new Set<string>();
  const different: object[] = [];
  for (const [index, { requests, connection }] of cases.entries()) {
    for (const { request, answer } of requests) {
      twins.setAnswer(answer);
      const both = await twins.exchange(index, request);
      const text = both.envoy.answer.headers.join("\n");
      for (const kind of [...kinds, "access-control-allow-origin", "x-ratelimit-limit"])
        if (text.includes(kind)) seen.add(kind);
      const differences = unintended(compareExchanges(both), { request, envoy: both.envoy });
      if (differences.length > 0) different.push({ index, connection, request, answer, differences });
    }
  }
  assert.deepEqual(different.slice(0, 3), [], `${different.length} requests differ`);
  if (!isUsualSeed) return;
  for (const kind of [...kinds, "access-control-allow-origin", "x-ratelimit-limit"])
    assert.ok(seen.has(kind), `no answer has ${kind}`);
});
