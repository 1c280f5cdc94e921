import assert from "node:assert/strict";
import { test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { startEmbeddedGateway, startEnvoyGateway } from "../peers/both-gateways.ts";
import { cheapFloods, differsHere, frameCases } from "./frame-cases.ts";
import { type FrameOutcome, sendFrames } from "./frame-outcome.ts";
import { startNotingUpstream } from "./raw-outcome.ts";

const http = {
  normalize_path: true,
  stream_idle_timeout: "0s",
  delayed_close_timeout: "0.02s",
  // Node resets the stream of a malformed request; Envoy does so if it is told to, and closes the connection otherwise.
  http2_protocol_options: { override_stream_error_on_invalid_http_message: true },
};

/**
 * What the two have in common. A connection is over when it is closed or when GOAWAY has told an error; with which code is
 * chance in both. Of what a connection sent before its end it is chance, too, what the upstream saw.
 */
function comparable({ streams, goAway, connection, upstream }: FrameOutcome) {
  const isOver = connection === "closes" || (goAway !== undefined && goAway !== "NO_ERROR");
  if (isOver) return { isOver, streams: [], upstream: [] };
  return { isOver, streams, upstream: upstream.filter((line) => !/^broken|\|cut off$/.test(line)) };
}

type Comparable = ReturnType<typeof comparable>;

/** A malformed request: Envoy resets its stream, or closes the connection; which Node does depends on its version. */
function isSame(ours: Comparable, theirs: Comparable): boolean {
  const isReset =
    theirs.streams.length > 0 && theirs.streams.every((text) => text.endsWith("PROTOCOL_ERROR"));
  return (ours.isOver && isReset) || isDeepStrictEqual(ours, theirs);
}

test("frames that are none, or too many, are answered as Envoy answers them", async (t) => {
  const upstreams = [await startNotingUpstream(), await startNotingUpstream()] as const;
  t.after(() => upstreams.map((each) => each.close()));
  const envoy = await startEnvoyGateway({ test: { http } }, upstreams[0].port);
  t.after(() => envoy.stop());
  const embedded = await startEmbeddedGateway({ test: { http } }, upstreams[1].port);
  t.after(() => embedded.stop());
  for (const [name, each] of Object.entries(frameCases)) {
    const [theirs, ours] = await Promise.all([
      sendFrames(envoy.port("test"), each, upstreams[0]).then(comparable),
      sendFrames(embedded.port("test"), each, upstreams[1]).then(comparable),
    ]);
    if (name in differsHere) assert.ok(!isSame(ours, theirs), `${name} differs no more`);
    else if (cheapFloods.has(name)) assert.ok(theirs.isOver, `${name}: Envoy does not close`);
    else if (!isSame(ours, theirs)) assert.deepEqual(ours, theirs, name);
  }
});
