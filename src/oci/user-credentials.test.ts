import assert from "node:assert/strict";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { runSkopeo, startDockerRegistry, testerHtpasswd } from "../../test/peers/docker-registry.ts";
import { tinyModule } from "../../test/peers/tiny-module.ts";
import { SystemError } from "../system-error.ts";
import { askCredentialProgram } from "./credential-program.ts";
import { writePluginImage } from "./image-layout.ts";
import { parseReference } from "./reference.ts";
import { createRegistryClient } from "./registry-client.ts";
import { createUserCredentials } from "./user-credentials.ts";

let directory: string;
let env: NodeJS.ProcessEnv;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "docker-config-"));
  env = { DOCKER_CONFIG: directory, PATH: `${directory}:/usr/bin:/bin`, ASKED: join(directory, "asked") };
});
afterEach(() => rm(directory, { recursive: true }));

const base64 = (text: string) => Buffer.from(text).toString("base64");
const auths = { "a.example.com": { auth: base64("stored:word") } };

function configure(config: object): Promise<void> {
  return writeFile(join(directory, "config.json"), JSON.stringify(config));
}

/** A program that notes what it was asked, and then does what the lines say. */
async function install(name: string, ...lines: readonly string[]): Promise<void> {
  const file = join(directory, `docker-credential-${name}`);
  const note = `read -r server; echo "$1 $server" >> "$ASKED"`;
  await writeFile(file, ["#!/bin/sh", note, ...lines, ""].join("\n"));
  await chmod(file, 0o755);
}

const answer = (username: string, secret: string) =>
  `echo '${JSON.stringify({ ServerURL: "x", Username: username, Secret: secret })}'`;
const notFound = "echo 'credentials not found in native keychain'; exit 1";
const asked = async () => (await readFile(join(directory, "asked"), "utf8")).trim().split("\n");

function refused(message: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof SystemError, String(error));
    assert.equal(error.code, "unauthorized");
    assert.match(error.message, message);
    assert.doesNotMatch(error.message, /hunter2/);
    return true;
  };
}

test("DOCKER_CONFIG names the directory of config.json, which need not be there", async () => {
  const find = createUserCredentials(env);
  assert.equal(await find("a.example.com", "b"), undefined);
  await configure({ auths });
  assert.equal((await find("a.example.com", "b"))?.username, "stored");
});

test("the registry's own program, else the store, else what is in the file", async () => {
  await configure({
    auths,
    credHelpers: { "b.example.com": "own", "https://index.docker.io/v1/": "own" },
    credsStore: "store",
  });
  await install("own", answer("owner", "a"));
  await install("store", `[ "$server" = c.example.com ] && ${answer("<token>", "b")} || { ${notFound}; }`);
  const find = createUserCredentials(env);
  const token = { username: "", password: "", identityToken: "b" };
  assert.deepEqual(await find("b.example.com", "x"), { username: "owner", password: "a" });
  assert.deepEqual(await find("index.docker.io", "x"), { username: "owner", password: "a" });
  assert.deepEqual(await find("c.example.com", "x"), token);
  assert.equal((await find("a.example.com", "x"))?.username, "stored");
  assert.equal(await find("d.example.com", "x"), undefined);
  await find("b.example.com", "y");
  assert.deepEqual(await asked(), [
    "get b.example.com",
    "get https://index.docker.io/v1/",
    "get c.example.com",
    "get a.example.com",
    "get d.example.com",
  ]);
});

test("a program that is not there, fails, or talks too much is named", async () => {
  await configure({ credsStore: "absent" });
  const find = createUserCredentials(env);
  const absent = /asking docker-credential-absent for .* a\.example\.com: it is not in PATH; install it, or/;
  await assert.rejects(async () => find("a.example.com", "x"), refused(absent));
  await install("absent", answer("", ""));
  assert.equal(await find("a.example.com", "x"), undefined);
  for (const [lines, message] of [
    ["echo 'the keychain is locked'; exit 3", /it failed \(3\): the keychain is locked/],
    [`${answer("a", "hunter2")}; exit 4`, /it failed \(4\)$/],
    ["echo hunter2", /expected a JSON object with Username and Secret/],
    ["head -c 100000 /dev/zero", /it answered more than 65536 bytes/],
  ] as const) {
    await install("absent", lines);
    await assert.rejects(async () => find("a.example.com", "x"), refused(message));
  }
});

test("a program that does not end is ended", async () => {
  await install("slow", "exec sleep 600");
  const request = { name: "slow", registry: "a.example.com", source: "the test", env, timeoutMs: 100 };
  await assert.rejects(
    askCredentialProgram(request),
    refused(/docker-credential-slow .*: it did not end in/),
  );
});

test("names that are no program's are refused", async () => {
  for (const credsStore of ["../absent", "a b", "$(id)"]) {
    await configure({ credsStore });
    await assert.rejects(
      async () => createUserCredentials(env)("a", "x"),
      refused(/no name of a credential program/),
    );
  }
  await configure({ credHelpers: { a: 1 } });
  await assert.rejects(async () => createUserCredentials(env)("a", "x"), refused(/to name programs/));
});

test("a registry with htpasswd believes what the program says, and pull secrets run no program", async () => {
  const registry = await startDockerRegistry({ htpasswd: testerHtpasswd });
  try {
    const layout = join(directory, "layout");
    await writePluginImage(layout, { repository: "a", tag: "1", wasm: tinyModule("a") });
    const target = `docker://${registry.host}/plugins/a:1`;
    const flags = ["--dest-tls-verify=false", "--dest-creds", "tester:open-sesame"];
    await runSkopeo("copy", "-q", ...flags, `oci:${layout}:a:1`, target);
    await configure({ credHelpers: { [registry.host]: "test" } });
    await install("test", answer("tester", "open-sesame"));
    const client = createRegistryClient({ credentials: createUserCredentials(env) });
    const reference = parseReference(`${registry.host}/plugins/a:1`);
    assert.equal((await client.resolve(reference)).manifest.layers.length, 1);
    const pullSecret = JSON.stringify({ credsStore: "test" });
    await assert.rejects(client.resolve(reference, { pullSecret }), refused(/no credentials for host/));
    assert.deepEqual(await asked(), [`get ${registry.host}`]);
    await install("test", notFound);
    const fresh = createRegistryClient({ credentials: createUserCredentials(env) });
    await assert.rejects(fresh.resolve(reference), refused(/no credentials for host/));
  } finally {
    await registry.stop();
  }
});
