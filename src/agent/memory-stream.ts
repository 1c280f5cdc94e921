import { Duplex } from "node:stream";
import { adsDefinition, type DeltaDiscoveryRequest, type DiscoveryRequest } from "../xds/ads.ts";
import { createIncrementalStream } from "../xds/incremental-stream.ts";
import type { ServerStream } from "../xds/server-stream.ts";
import type { Snapshot } from "../xds/snapshot.ts";
import { createStateOfTheWorldStream } from "../xds/state-of-the-world-stream.ts";
import type { AdsMethod } from "./discovery-link.ts";

/** A stream in the place of one to discovery: takes encoded requests, and answers them from a snapshot. */
export function openMemoryStream(method: AdsMethod, snapshot: Snapshot): Duplex {
  const duplex = new Duplex({
    objectMode: true,
    read() {},
    write(bytes: Buffer, _encoding, done) {
      try {
        answer(bytes);
        done();
      } catch (error) {
        done(error instanceof Error ? error : new Error(String(error)));
      }
    },
  });
  const send = (encode: () => Buffer) => void duplex.push(encode());
  const answer =
    method === "deltaAggregatedResources"
      ? answerWith(createIncrementalStream(send), adsDefinition[method].requestDeserialize)
      : answerWith(createStateOfTheWorldStream(send), adsDefinition[method].requestDeserialize);

  function answerWith<Request extends DiscoveryRequest | DeltaDiscoveryRequest>(
    stream: ServerStream<Request>,
    read: (bytes: Buffer) => Request,
  ): (bytes: Buffer) => void {
    stream.onSnapshot(snapshot);
    return (bytes) => stream.onRequest(read(bytes));
  }
  return duplex;
}
