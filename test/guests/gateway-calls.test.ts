// What guests call, over the gateway's own clusters to real HTTP/2 upstreams: each case gives what it gave in Envoy.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { readCaseFile } from "./case-file.ts";
import type { CallResult } from "./case-result.ts";
import { findDifferences, intendedFor, readIntended } from "./differences.ts";
import { createServedUpstreams } from "./host/served-calls.ts";
import { createHostRunner, type HostRunner } from "./host-runner.ts";
import { readRecorded, toRecorded } from "./recorded.ts";

const names = ["grpc", "http-calls", "rust-calls"];
const intended = await readIntended();
/** Unlike Envoy: a call that is cancelled before the guest has returned is not made. */
const unsent = new Set(["a call that is cancelled", "a stream that is cancelled by the plugin"]);

describe("calls of guests over the gateway's clusters", () => {
  let expected: readonly CallResult[] = [];
  const served = createServedUpstreams(() => expected);
  let host: HostRunner;
  before(() => {
    host = createHostRunner(served);
  });
  after(async () => {
    host.close();
    await served.close();
  });
  for (const name of names)
    describe(name, async () => {
      const file = await readCaseFile(fileURLToPath(new URL(`cases/${name}.yaml`, import.meta.url)));
      const recorded = await readRecorded(file);
      for (const test of file.cases)
        it(test.name, async () => {
          const ofEnvoy = recorded[test.name]!;
          const calls = unsent.has(test.name) ? [] : ofEnvoy.calls;
          expected = calls;
          const result = toRecorded(await host.run(file, test));
          const differences = findDifferences({ ...ofEnvoy, calls }, result);
          assert.deepEqual(differences, intendedFor(intended, name, test.name));
        });
    });
});
