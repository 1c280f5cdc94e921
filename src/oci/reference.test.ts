import assert from "node:assert/strict";
import { test } from "node:test";
import { SystemError } from "../system-error.ts";
import { apiHost, formatReference, parseReference } from "./reference.ts";

const digest = `sha256:${"0123456789abcdef".repeat(4)}`;

const valid: readonly (readonly [string, string])[] = [
  ["oci://registry.example.com:5000/a/b_c/d-e:1.0", "registry.example.com:5000/a/b_c/d-e:1.0"],
  ["registry.example.com/a", "registry.example.com/a:latest"],
  ["localhost/a:x", "localhost/a:x"],
  ["[::1]:5000/a:x", "[::1]:5000/a:x"],
  [`oci://127.0.0.1:5000/a@${digest}`, `127.0.0.1:5000/a@${digest}`],
  [`localhost:5000/a:1@${digest}`, `localhost:5000/a:1@${digest}`],
  ["nginx", "index.docker.io/library/nginx:latest"],
  ["docker.io/nginx:1", "index.docker.io/library/nginx:1"],
  ["oci://docker.io/team/a", "index.docker.io/team/a:latest"],
  ["team/a:b", "index.docker.io/team/a:b"],
];

test("references are normalised", () => {
  for (const [text, expected] of valid) {
    assert.equal(formatReference(parseReference(text)), expected, text);
    assert.deepEqual(parseReference(expected), parseReference(text), text);
  }
});

test("Docker Hub's API has a host of its own", () => {
  assert.equal(apiHost(parseReference("nginx").registry), "registry-1.docker.io");
  assert.equal(apiHost("ghcr.io"), "ghcr.io");
});

const invalid: readonly (readonly [string, RegExp])[] = [
  ["", /it has no repository/],
  ["oci://", /it has no repository/],
  ["registry.example.com/", /it has no repository/],
  ["https://registry.example.com/a", /the scheme is "https"; expected "oci" or none/],
  ["registry.example.com/Upper:1", /the repository is "Upper"/],
  ["registry.example.com/a//b", /the repository is "a\/\/b"/],
  ["registry.example.com/../b", /the repository is "\.\.\/b"/],
  ["registry.example.com/a:", /the tag is ""/],
  ["registry.example.com/a:-x", /the tag is "-x"/],
  [`registry.example.com/a:${"x".repeat(129)}`, /the tag is/],
  ["registry.example.com/a@sha256:abc", /the digest is "sha256:abc"; expected "sha256:" and 64/],
  [`registry.example.com/a@${digest.toUpperCase()}`, /the digest is/],
  [`registry.example.com/a@${digest}@${digest}`, /it has 2 "@"/],
  ["registry.example.com:99999/a", /the registry is "registry.example.com:99999"/],
  ["bad_host.example.com/a", /the registry is "bad_host.example.com"/],
  [`registry.example.com/${"a/".repeat(200)}a`, /255 characters at most/],
];

test("what is no reference is refused with what was found and expected", () => {
  for (const [text, expected] of invalid) {
    assert.throws(
      () => parseReference(text),
      (error) =>
        error instanceof SystemError && error.code === "reference-invalid" && expected.test(error.message),
      text,
    );
  }
});
