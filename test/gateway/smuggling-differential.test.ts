import assert from "node:assert/strict";
import { test } from "node:test";
import { startEmbeddedGateway, startEnvoyGateway } from "../peers/both-gateways.ts";
import { type RawOutcome, sendCase, startNotingUpstream } from "./raw-outcome.ts";
import { forwardedHere, refusedHere, smugglingCases } from "./smuggling-cases.ts";

// Both let a refused connection stay open for a while, until its client has read the answer.
const http = { normalize_path: true, stream_idle_timeout: "0s", delayed_close_timeout: "0.02s" };

/** A request of which only a part came is none, and whether that part was sent on is chance. */
function withoutPieces(outcome: RawOutcome): RawOutcome {
  return { ...outcome, upstream: outcome.upstream.filter((line) => !/^broken|\|cut off$/.test(line)) };
}

test("bytes that are no request, or more than one, are answered as Envoy answers them", async (t) => {
  const upstreams = [await startNotingUpstream(), await startNotingUpstream()] as const;
  t.after(() => upstreams.map((each) => each.close()));
  const envoy = await startEnvoyGateway({ test: { http } }, upstreams[0].port);
  t.after(() => envoy.stop());
  const embedded = await startEmbeddedGateway({ test: { http } }, upstreams[1].port);
  t.after(() => embedded.stop());
  const refusal: RawOutcome = { answers: ["400 close Bad Request"], connection: "closes", upstream: [] };
  for (const { name, bytes, answers = 1 } of smugglingCases) {
    const [theirs, ours] = await Promise.all([
      sendCase(envoy.port("test"), bytes, answers, upstreams[0]).then(withoutPieces),
      sendCase(embedded.port("test"), bytes, answers, upstreams[1]).then(withoutPieces),
    ]);
    if (name in refusedHere) assert.deepEqual(ours, refusal, name);
    if (name in refusedHere || forwardedHere.has(name))
      assert.notDeepEqual(ours, theirs, `${name} differs no more`);
    else assert.deepEqual(ours, theirs, name);
  }
});
