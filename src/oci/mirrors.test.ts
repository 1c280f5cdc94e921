import assert from "node:assert/strict";
import { test } from "node:test";
import { SystemError } from "../system-error.ts";
import { mirrored } from "./mirrors.ts";

const digest = `sha256:${"ab".repeat(32)}`;
const mirrors = new Map([
  ["registry.example.com", "127.0.0.1:5080"],
  ["docker.io", "mirror.example.com"],
]);

const images: readonly (readonly [string, string])[] = [
  ["oci://registry.example.com/plugins/a:1.0.0", "oci://127.0.0.1:5080/plugins/a:1.0.0"],
  ["registry.example.com/plugins/a:1.0.0", "oci://127.0.0.1:5080/plugins/a:1.0.0"],
  ["oci://registry.example.com/plugins/a:latest", "oci://127.0.0.1:5080/plugins/a:latest"],
  [`oci://registry.example.com/a@${digest}`, `oci://127.0.0.1:5080/a@${digest}`],
  [`oci://registry.example.com/a:1@${digest}`, `oci://127.0.0.1:5080/a:1@${digest}`],
  ["oci://docker.io/team/a:1", "oci://mirror.example.com/team/a:1"],
  ["nginx:1", "oci://mirror.example.com/library/nginx:1"],
];

test("an image of a registry with a mirror is pulled from there: same repository, tag and digest", () => {
  for (const [image, expected] of images) assert.equal(mirrored(image, mirrors), expected, image);
});

test("an image without a tag stays without one: latest has another pull policy", () => {
  assert.equal(mirrored("oci://registry.example.com/plugins/a", mirrors), "oci://127.0.0.1:5080/plugins/a");
  assert.equal(mirrored("nginx", mirrors), "oci://mirror.example.com/library/nginx");
});

test("what has no mirror stays as it is", () => {
  const others = [
    "oci://other.example.com/a:1",
    "oci://registry.example.com:5000/a:1",
    "https://registry.example.com/a.wasm",
    "file:///modules/a.wasm",
  ];
  for (const url of others) assert.equal(mirrored(url, mirrors), url);
  assert.equal(
    mirrored("oci://registry.example.com/Not An Image", new Map()),
    "oci://registry.example.com/Not An Image",
  );
});

test("what is no image is refused", () => {
  assert.throws(
    () => mirrored("oci://registry.example.com/Upper:1", mirrors),
    (error) => error instanceof SystemError && error.code === "reference-invalid",
  );
});
