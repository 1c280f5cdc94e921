import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { writePluginImage } from "../../src/oci/image-layout.ts";
import { buildGuest } from "../guests/build-guests.ts";
import { type GuestOptions, guestModule } from "../peers/guest-module.ts";
import { freePortOffset } from "../peers/ports.ts";
import { startWasmline, wasmlineProgram } from "../peers/program.ts";

const keyAuth = "build/plugins/key-auth.wasm";
const keyAuthConfig = JSON.stringify({
  keys: ["x-api-key"],
  in_header: true,
  global_auth: true,
  consumers: [{ name: "ann", credential: "secret" }],
});
const logging = (text: string): GuestOptions => ({
  callbacks: { on_request_headers: [{ call: "proxy_log", with: [2, text] }] },
});

let dir = "";
before(async () => {
  dir = await mkdtemp(join(tmpdir(), "wasmline-plugin-"));
});
after(() => rm(dir, { recursive: true }));

async function run(...args: string[]) {
  const program = startWasmline(["plugin", ...args]);
  const status = await program.ended;
  return { status, stdout: program.stdout(), stderr: program.stderr() };
}

const put = async (name: string, content: string | Uint8Array) => {
  await writeFile(join(dir, name), content);
  return join(dir, name);
};

/** A test file with a case for each text that is expected in the log. */
const putTests = (name: string, module: string, ...logs: readonly string[]) =>
  put(
    name,
    `module: ${module}\ncases:\n${logs
      .map(
        (text) =>
          `  - {name: logs ${text}, request: {headers: [[":method", GET]]}, expect: {logs: [{contains: ${text}}]}}\n`,
      )
      .join("")}`,
  );

test("a wrong call is status 2", async () => {
  for (const args of [
    [],
    ["nonsense"],
    ["test"],
    ["test", "a.yaml", "-o", "xml"],
    ["bench", keyAuth, "-n", "x"],
    ["trace", keyAuth, "--header", "x"],
  ]) {
    const { status, stdout } = await run(...args);
    assert.equal(status, 2, args.join(" "));
    assert.equal(stdout, "");
  }
});

test("test: results on stdout in three formats, status 1 when a case fails", async () => {
  await put("guest.wasm", guestModule({ callbacks: { ...logging("hello").callbacks, on_tick: [] } }));
  const fine = await putTests("fine.yaml", "guest.wasm", "hello");
  const mixed = await putTests("mixed.yaml", "guest.wasm", "hello", "bye");
  const passed = await run("test", fine);
  assert.deepEqual([passed.status, passed.stderr], [0, ""]);
  assert.match(
    passed.stdout,
    /^ok {3}.*fine\.yaml:3 logs hello\nnever called in .*guest\.wasm: proxy_on_tick\n1 passed, 0 failed\n$/,
  );
  const failed = await run("test", fine, mixed);
  assert.equal(failed.status, 1);
  assert.match(
    failed.stdout,
    /FAIL .*mixed\.yaml:4 logs bye\n {5}logs\[0\]\n {7}expected \{"contains":"bye"\}/,
  );
  assert.match(failed.stdout, /\n2 passed, 1 failed\n$/);
  const json = JSON.parse((await run("test", mixed, "-o", "json")).stdout);
  assert.deepEqual([json.passed, json.failed, json.cases.length], [1, 1, 2]);
  assert.deepEqual(json.cases[1].failures[0].path, "logs[0]");
  assert.deepEqual(json.coverage[0].callbacks, ["proxy_on_tick"]);
  const { stdout: xml } = await run("test", mixed, "-o", "junit");
  assert.match(xml, /<testsuite name=".*mixed\.yaml" tests="2" failures="1"/);
});

test("test: what is wrong with a file is said with its place, and all of it", async () => {
  const broken = await put(
    "broken.yaml",
    "cases:\n  - name: a\n    expects: {}\n    expect: {request: {action: stop}}\n",
  );
  const { status, stdout, stderr } = await run("test", broken);
  assert.deepEqual([status, stdout], [1, ""]);
  assert.match(stderr, /broken\.yaml:3:5: error UNKNOWN_FIELD: .*"expects"/);
  assert.match(stderr, /broken\.yaml:4:\d+: error INVALID_VALUE/);
  const nameless = await put("nameless.yaml", "cases:\n  - {name: a, expect: {}}\n");
  assert.match((await run("test", nameless)).stderr, /names no module; expected one here, or --wasm/);
  assert.match(
    (await run("test", nameless, "--wasm", "no.wasm")).stderr,
    /error not-found: there is no module at .*no\.wasm/,
  );
  assert.match((await run("test", "no.yaml")).stderr, /error not-found: reading the tests in no\.yaml/);
});

test("test: a plugin that loops for ever fails its case, and the others run", async () => {
  await put(
    "loop.wasm",
    guestModule({
      callbacks: {
        on_request_headers: [{ call: "proxy_log", with: [2, "hello"] }],
        on_request_body: ["loop"],
      },
    }),
  );
  const file = await put(
    "loop.yaml",
    `module: loop.wasm
cases:
  - {name: loops, request: {headers: [[":method", GET]], body: x}, expect: {}}
  - {name: does not, request: {headers: [[":method", GET]]}, expect: {logs: [{contains: hello}]}}
`,
  );
  const { status, stdout } = await run("test", file, "--timeout", "300");
  assert.equal(status, 1);
  assert.match(stdout, /FAIL .* loops\n.*\n.*\n.*did not return within 300 ms/);
  assert.match(stdout, /\nok {3}.* does not\n1 passed, 1 failed\n$/);
});

test("test: a thousand cases take no thread each", async () => {
  const { status, stdout } = await run("test", "plugins/key-auth/test/vectors.yaml", "-o", "json");
  const { passed, failed } = JSON.parse(stdout);
  assert.deepEqual([status, passed + failed], [1, 466]);
  assert.ok(passed >= 465);
});

test("test: runs again when a test or a module changes, until it is stopped", async () => {
  await put("watched.wasm", guestModule(logging("one")));
  const file = await putTests("watched.yaml", "watched.wasm", "one");
  const program = startWasmline(["plugin", "test", file, "--watch"]);
  await program.waitFor("stdout", /1 passed, 0 failed/);
  await putTests("watched.yaml", "watched.wasm", "two");
  await program.waitFor("stdout", /0 passed, 1 failed/);
  await put("watched.yaml", "cases: 7\n");
  await program.waitFor("stderr", /watched\.yaml:1:\d+: error INVALID_VALUE/);
  await putTests("watched.yaml", "watched.wasm", "two");
  await program.waitFor("stdout", /0 passed, 1 failed[\s\S]*0 passed, 1 failed/);
  await put("watched.wasm", guestModule(logging("two")));
  await program.waitFor("stdout", /ok {3}.* logs two/);
  assert.equal(await program.stop(), 0);
});

test("modules come from images too", async () => {
  const layout = join(dir, "images");
  const wasm = await readFile(keyAuth);
  await writePluginImage(layout, { repository: "plugins/key-auth", tag: "1.0.0", wasm });
  const offset = await freePortOffset();
  const registry = startWasmline(["registry", "--layout", layout, "--port-offset", String(offset)]);
  await registry.waitFor("stderr", /registry is up/);
  const image = `127.0.0.1:${5080 + offset}/plugins/key-auth:1.0.0`;
  const file = await put(
    "image.yaml",
    `module: ${image}
config: ${keyAuthConfig}
cases:
  - name: no key
    request: {headers: [[":method", GET], [":path", /], [":authority", foo.com]]}
    expect: {local: {status: 401, details: key-auth.no_key}}
`,
  );
  const tested = await run("test", file);
  assert.equal(tested.status, 0, tested.stdout + tested.stderr);
  const inspected = await run("inspect", `oci://${image}`, "-o", "json");
  assert.equal(JSON.parse(inspected.stdout).bytes, wasm.length);
  const missing = await run("inspect", `oci://127.0.0.1:${5080 + offset}/plugins/none:1.0.0`);
  assert.equal(missing.status, 1);
  assert.match(missing.stderr, /error not-found: /);
  await registry.stop();
});

test("inspect: our plugins and Go's", async () => {
  const ours = await run("inspect", keyAuth);
  assert.equal(ours.status, 0);
  assert.match(ours.stdout, /\nABI +0\.2\.1\n/);
  assert.match(ours.stdout, /\nlanguage +AssemblyScript/);
  assert.match(ours.stdout, /\nstock Envoy +loads it\n/);
  const go = JSON.parse((await run("inspect", await buildGuest("go-rules"), "-o", "json")).stdout);
  assert.deepEqual(go.abi, ["0.2.100"]);
  assert.equal(go.language.name, "Go");
  assert.equal(go.sdk.name, "Higress' wasm-go");
  assert.deepEqual(go.gateways.stock.adaptations, ["marker", "property names"]);
  assert.equal(go.gateways.higress.loads, true);
  const none = await run("inspect", "package.json");
  assert.equal(none.status, 1);
  assert.match(none.stderr, /error module-invalid: package\.json: broken Wasm module/);
});

test("trace: the conversation, of a request and of a case", async () => {
  const { status, stdout } = await run(
    "trace",
    keyAuth,
    "--config",
    keyAuthConfig,
    "--header",
    "x-api-key: secret",
    "--header",
    ":path:/a?b",
  );
  assert.equal(status, 0);
  assert.match(
    stdout,
    /\nproxy_on_configure\(plugin 1, size \d+\)\n {2}proxy_get_buffer_bytes\(plugin configuration, 0, \d+\) = ok "\{/,
  );
  assert.match(stdout, /\n {2}proxy_get_header_map_value\(request headers, "x-api-key"\) = ok "secret"\n/);
  assert.match(
    stdout,
    /\n {2}proxy_replace_header_map_value\(request headers, "x-mse-consumer", "ann"\) = ok\n {2}= continue\n/,
  );
  const vectors = "plugins/custom-response/test/vectors.yaml";
  const one = await run("trace", vectors, "--case", "content-length dropped");
  assert.match(one.stdout, /^# content-length dropped\n/);
  assert.match(
    one.stdout,
    /proxy_send_local_response\(200, "custom-response", "abc", \{a: "b", .*\}, -1\) = ok\n {2}= stop iteration\n/,
  );
  const none = await run("trace", vectors, "--case", "nothing");
  assert.equal(none.status, 1);
  assert.match(none.stderr, /has no case "nothing"; it has 46: /);
});

test("bench: phases, host calls and memory", async () => {
  const { status, stdout } = await run(
    "bench",
    keyAuth,
    "--config",
    keyAuthConfig,
    "-n",
    "1000",
    "--rounds",
    "2",
  );
  assert.equal(status, 0);
  assert.match(stdout, /\nstart +\d+ +\d+ +\d+\nrequest headers +\d+ +\d+ +\d+\n/);
  assert.match(stdout, /\nmemory [\d.]+ KiB, 0\.0 bytes more for each stream\n$/);
  const json = JSON.parse(
    (
      await run(
        "bench",
        "plugins/custom-response/test/vectors.yaml",
        "-n",
        "10",
        "--rounds",
        "1",
        "-o",
        "json",
      )
    ).stdout,
  );
  assert.equal(json.phases[1].name, "request headers");
  const refused = await run("bench", keyAuth);
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /error plugin-start: .*refused its configuration/);
});

test("what the documentation shows is what comes", async () => {
  const page = await readFile("docs/plugin-testing.md", "utf8");
  const [, source = ""] = /```yaml\n# key-auth\.yaml\n(.*?)```/s.exec(page)!;
  await put("key-auth.yaml", `# key-auth.yaml\n${source}`);
  await symlink(resolve("build"), join(dir, "build"));
  const examples = [...page.matchAll(/```console\n\$ wasmline (.*?)\n(.*?)```/gs)];
  assert.equal(examples.length, 2);
  for (const [, command = "", printed] of examples) {
    const args = [...command.matchAll(/"([^"]*)"|\S+/g)].map(([word, quoted]) => quoted ?? word);
    const { stdout } = await promisify(execFile)(process.execPath, [wasmlineProgram, ...args], { cwd: dir });
    assert.equal(stdout, printed);
  }
});
