import assert from "node:assert/strict";
import { test } from "node:test";
import { parseChallenges } from "./challenge.ts";

test("several challenges in one header and in several", () => {
  const headers = [
    'Bearer realm="https://auth.example.com/token",service="a, \\"b\\"",scope="repository:x:pull,push" , Basic realm=test',
    "Negotiate",
  ];
  assert.deepEqual(parseChallenges(headers), [
    {
      scheme: "bearer",
      parameters: {
        realm: "https://auth.example.com/token",
        service: 'a, "b"',
        scope: "repository:x:pull,push",
      },
    },
    { scheme: "basic", parameters: { realm: "test" } },
    { scheme: "negotiate", parameters: {} },
  ]);
});

test("what is not understood ends the header and nothing else", () => {
  assert.deepEqual(parseChallenges(["", '"', "=x", 'Basic realm="open', "Bearer"]), [
    { scheme: "basic", parameters: {} },
    { scheme: "bearer", parameters: {} },
  ]);
});
