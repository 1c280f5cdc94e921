import assert from "node:assert/strict";
import { test } from "node:test";
import type { HttpAnswer } from "./http.ts";
import { findUploadPlace, receivedBytes, withDigest } from "./upload-place.ts";

function answer(url: string, headers: Readonly<Record<string, string>>): HttpAnswer {
  const header = (name: string) => [headers[name] ?? []].flat();
  return { status: 202, url: new URL(url), body: new Uint8Array(), header };
}

const place = (from: string, location: string) =>
  findUploadPlace(answer(`${from}/v2/a/blobs/uploads/`, { location }), "uploading").href;

test("a place may be relative, and elsewhere, but not without TLS behind TLS", () => {
  assert.equal(place("https://a.com", "/v2/a/blobs/uploads/1"), "https://a.com/v2/a/blobs/uploads/1");
  assert.equal(place("https://a.com", "https://b.com/1"), "https://b.com/1");
  assert.equal(place("http://a.com", "http://b.com/1"), "http://b.com/1");
  const refused = {
    code: "registry",
    message: /^uploading: a\.com leads the upload to http:\/\/a\.com; expected https/,
  };
  assert.throws(() => place("https://a.com", "http://a.com/1"), refused);
  assert.throws(() => place("https://a.com", ""), { code: "registry", message: /nowhere/ });
  assert.throws(() => place("https://a.com", "https://:"), { code: "registry", message: /to no URL/ });
});

test("what the registry has written into the query stays as it is", () => {
  const digest = `sha256:${"0".repeat(64)}`;
  const ending = `digest=sha256%3A${"0".repeat(64)}`;
  const with_ = (url: string) => withDigest(new URL(url), digest).href;
  assert.equal(
    with_("https://a.com/1?_state=a%2Fb~c%20d+e"),
    `https://a.com/1?_state=a%2Fb~c%20d+e&${ending}`,
  );
  assert.equal(with_("https://a.com/1"), `https://a.com/1?${ending}`);
});

test("how far a registry has got", () => {
  const received = (range: string) => receivedBytes(answer("https://a.com", { range }));
  assert.deepEqual(["0-99", "bytes=0-99", "0-0", "7-9", ""].map(received), [
    100,
    100,
    0,
    undefined,
    undefined,
  ]);
  assert.equal(receivedBytes(answer("https://a.com", {})), undefined);
});
