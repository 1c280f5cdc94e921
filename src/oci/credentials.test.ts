import assert from "node:assert/strict";
import { test } from "node:test";
import { SystemError } from "../system-error.ts";
import { parseDockerConfig } from "./credentials.ts";

const base64 = (text: string) => Buffer.from(text).toString("base64");

test("keys as docker, kubectl and podman write them", () => {
  const find = parseDockerConfig(
    JSON.stringify({
      auths: {
        "https://index.docker.io/v1/": { auth: base64("hub:a:b") },
        "registry.example.com:5000": { username: "plain", password: "c" },
        "https://other.example.com": { auth: base64("other:d") },
        "other.example.com/team": { auth: base64("team:e") },
        "token.example.com": { auth: base64("<token>:"), identitytoken: "f" },
        "helper.example.com": {},
      },
    }),
    "the test",
  );
  const user = (registry: string, repository = "a") => {
    const found = find(registry, repository);
    return found && `${found.username}/${found.password}/${found.identityToken ?? ""}`;
  };
  assert.equal(user("index.docker.io"), "hub/a:b/");
  assert.equal(user("registry.example.com:5000"), "plain/c/");
  assert.equal(user("registry.example.com"), undefined);
  assert.equal(user("other.example.com"), "other/d/");
  assert.equal(user("other.example.com", "team/plugin"), "team/e/");
  assert.equal(user("other.example.com", "teams/plugin"), "other/d/");
  assert.equal(user("token.example.com"), "<token>//f");
  assert.equal(user("helper.example.com"), undefined);
});

test("a broken secret is refused without quoting it", () => {
  const secrets = [
    "hunter2",
    "null",
    '{"auths":"hunter2"}',
    '{"auths":{"a":"hunter2"}}',
    `{"auths":{"a":{"auth":"${base64("hunter2")}"}}}`,
  ];
  for (const secret of secrets) {
    assert.throws(
      () => parseDockerConfig(secret, "the image pull secret"),
      (error) =>
        error instanceof SystemError &&
        error.code === "unauthorized" &&
        error.message.startsWith("the image pull secret is no Docker configuration: expected") &&
        !error.message.includes("hunter2") &&
        !error.message.includes(base64("hunter2")) &&
        error.cause === undefined,
      secret,
    );
  }
});
