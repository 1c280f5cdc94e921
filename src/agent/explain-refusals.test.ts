import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
} from "../gen/envoy/service/discovery/v3/discovery_pb.ts";
import { StatusSchema } from "../gen/google/rpc/status_pb.ts";
import { explainRefusals } from "./explain-refusals.ts";
import { createPluginLog } from "./plugin-log.ts";

function openSession() {
  const log = createPluginLog();
  const taken: DeltaDiscoveryRequest[] = [];
  const ended = new AbortController();
  const bare = { onRequest: (request: DeltaDiscoveryRequest) => void taken.push(request), onResponse() {} };
  const session = explainRefusals(bare, log, ended.signal);
  const logged = (message: string) => log.take({ level: "error", thread: "1", component: "wasm", message });
  const answer = (responseNonce: string, message?: string) =>
    session.onRequest(
      create(DeltaDiscoveryRequestSchema, {
        responseNonce,
        errorDetail: message === undefined ? undefined : create(StatusSchema, { code: 13, message }),
      }),
    );
  const seen = () => taken.map((request) => [request.responseNonce, request.errorDetail?.message]);
  return { logged, answer, seen, ended };
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await nextTurn();
}

suite("explainRefusals", () => {
  test("a refusal has the reason that is read just after it, and what follows waits for it", async () => {
    const { logged, answer, seen } = openSession();
    answer("1");
    answer("2", "Unable to create Wasm plugin ns.a");
    answer("3");
    assert.deepEqual(seen(), [["1", undefined]]);
    logged("wasm log: no such key");
    logged("Plugin ns.a failed to load");
    await turns();
    assert.deepEqual(seen(), [
      ["1", undefined],
      ["2", "Unable to create Wasm plugin ns.a: no such key"],
      ["3", undefined],
    ]);
    answer("4");
    assert.equal(seen().length, 4);
  });

  test("a refusal of something else, or without a line in the log, stays as it is", async () => {
    const { answer, seen } = openSession();
    answer("1", "Unable to create Wasm plugin ns.a");
    answer("2", "no such filter");
    await turns();
    assert.deepEqual(seen(), [
      ["1", "Unable to create Wasm plugin ns.a"],
      ["2", "no such filter"],
    ]);
  });

  test("after the end of the stream nothing is handed on", async () => {
    const { answer, seen, ended } = openSession();
    answer("1", "no such filter");
    ended.abort();
    await turns();
    assert.deepEqual(seen(), []);
  });
});
