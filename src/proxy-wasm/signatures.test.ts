import assert from "node:assert/strict";
import { test } from "node:test";
import { guestModule } from "../../test/peers/guest-module.ts";
import { hostFunctions } from "./abi.ts";
import { compileModule } from "./module.ts";
import { signatureOf } from "./signatures.ts";

const refusal = (bytes: Uint8Array) =>
  compileModule(bytes, { name: "guest" }).then(
    () => "",
    (error: Error) => error.message,
  );

test("a host function that is imported with the wrong parameters is refused, and says which are right", async () => {
  const callbacks = { on_tick: [{ call: "proxy_increment_metric", with: [1, 1] }] };
  assert.equal(
    await refusal(guestModule({ callbacks })),
    "guest: proxy_increment_metric has the wrong signature: found (i32, i32) -> (i32), expected (i32, i64) -> (i32); " +
      "build it with an SDK for ABI 0.2.1",
  );
  const right = { on_tick: [{ call: "proxy_increment_metric", with: [1, 1n] }] };
  assert.equal(await refusal(guestModule({ callbacks: right })), "");
});

test("headers callbacks have a parameter less in the first ABI", async () => {
  const bytes = Buffer.from(guestModule({ abi: "0.1.0", callbacks: { on_request_headers: [] } }));
  assert.equal(await refusal(bytes), "");
  bytes.write("proxy_abi_version_0_2_0", bytes.indexOf("proxy_abi_version_0_1_0"));
  assert.match(
    await refusal(bytes),
    /proxy_on_request_headers has the wrong signature: found \(i32, i32\) -> \(i32\), expected \(i32, i32, i32\)/,
  );
});

test("every host function's signature is known, but of those that are no ABI's", () => {
  const unknown = [...hostFunctions("0.1.0"), ...hostFunctions("0.2.100")].filter(
    (name) => signatureOf(name, "0.2.100") === undefined,
  );
  const others = ["pthread_equal", "emscripten_notify_memory_growth", "envoy_resolve_dns"];
  assert.deepEqual([...new Set(unknown)], others);
});
