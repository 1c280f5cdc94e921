import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { after, before, test } from "node:test";
import { newPlugin } from "../../src/plugin/new-plugin.ts";
import { parseTestFile } from "../../src/plugin/test-file.ts";
import { freePortOffset } from "../peers/ports.ts";
import { type Program, startWasmline } from "../peers/program.ts";
import { get } from "../peers/request.ts";
import { until } from "../peers/until.ts";

const secret = "2bda943c-ba2b-11ec-ba07-00163e1250b5";
const keyAuth = {
  keys: ["x-door"],
  in_header: true,
  global_auth: true,
  consumers: [{ name: "ann", credential: secret }],
};

let root = "";
let offset = 0;
let up: Program;
let upstream: Server;
before(async () => {
  root = await mkdtemp(join(tmpdir(), "wasmline-record-"));
  offset = await freePortOffset();
  upstream = createServer((request, response) => {
    request.resume();
    request.on("end", () =>
      response.setHeader("set-cookie", "sid=s3cr3t-session; Path=/").end(`seen ${request.url}`),
    );
  });
  await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
  await writeFile(join(root, "all.json"), resources((upstream.address() as AddressInfo).port));
  up = startWasmline([
    ...["up", "-f", join(root, "all.json"), "--port-offset", String(offset)],
    ...["--data-dir", join(root, "data"), "--log-level", "warn"],
  ]);
  await up.waitFor("stdout", /^ready .* 2 plugins in effect$/m);
});
after(async () => {
  await up.stop();
  upstream.close();
  await rm(root, { recursive: true });
});

function resources(port: number): string {
  const metadata = (name: string) => ({ name, namespace: "higress-system" });
  const plugin = (name: string, priority: number, defaultConfig: object) => ({
    apiVersion: "extensions.higress.io/v1alpha1",
    kind: "WasmPlugin",
    metadata: metadata(name),
    spec: { url: `file://${join(process.cwd(), `build/plugins/${name}.wasm`)}`, priority, defaultConfig },
  });
  const service = { name: "shop", port: { number: 80 } };
  const paths = [{ path: "/", pathType: "Prefix", backend: { service } }];
  const items = [
    plugin("key-auth", 200, keyAuth),
    plugin("transformer", 100, {
      reqRules: [
        { operate: "add", headers: [{ key: "x-added", value: "yes" }], body: [{ key: "more", value: "1" }] },
      ],
    }),
    {
      apiVersion: "networking.k8s.io/v1",
      kind: "Ingress",
      metadata: metadata("shop"),
      spec: { rules: [{ host: "shop.example.com", http: { paths } }] },
    },
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: metadata("shop"),
      spec: { ports: [{ name: "http", port: 80 }] },
    },
    {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { ...metadata("shop-1"), labels: { "kubernetes.io/service-name": "shop" } },
      addressType: "IPv4",
      endpoints: [{ addresses: ["127.0.0.1"] }],
      ports: [{ name: "http", port }],
    },
  ];
  return JSON.stringify({ apiVersion: "v1", kind: "List", items });
}

const plugin = (...args: string[]) => startWasmline(["plugin", ...args]);
const recordArgs = (file: string, ...more: string[]) => [
  ...["record", file, "--server", `http://127.0.0.1:${15000 + offset}`, ...more],
];
const ask = (path: string, headers: Record<string, string>) =>
  get(8080 + offset, path, "shop.example.com", undefined, headers);

/** Runs `plugin record`, sends requests until it has one, and gives what it wrote. */
async function recordOne(file: string, send: () => Promise<unknown>, ...more: string[]) {
  const recording = plugin(...recordArgs(file, ...more));
  let status: number | null | undefined;
  void recording.ended.then((code) => {
    status = code;
  });
  await recording.waitFor("stderr", /^waiting /m);
  await until("a request is recorded", async () => {
    if (status !== undefined) return true;
    await send();
    return false;
  });
  assert.equal(status, 0, recording.stderr());
  return { text: await readFile(file, "utf8"), stdout: recording.stdout(), stderr: recording.stderr() };
}

test("a request becomes a case without secrets, which passes", async () => {
  const file = join(root, "key-auth.test.yaml");
  const module = join(process.cwd(), "build/plugins/key-auth.wasm");
  const more = ["--plugin", "key-auth", "--module", module, "--path", "/orders", "--header", "x-door"];
  const send = () =>
    ask("/orders?access_token=t0p-s3cret&page=2", {
      "x-door": secret,
      authorization: "Bearer aaaa.bbbb.cccc",
      cookie: "sid=s3cr3t-session; lang=en",
    });
  const { text, stdout, stderr } = await recordOne(file, send, ...more);
  for (const gone of [secret, "t0p-s3cret", "aaaa.bbbb.cccc", "s3cr3t-session"])
    assert.ok(!text.includes(gone), gone);
  assert.match(stderr, /redacted: access_token, authorization, cookie, credential, set-cookie, x-door/);
  assert.equal(stdout, "recorded: GET shop.example.com/orders, 200\n");
  assert.ok(!stderr.includes("not expected"), stderr);
  const { tests } = parseTestFile(text, file);
  const [one] = tests!.cases;
  // What was equal still is: the consumer's key is the request's.
  const key = one!.request!.headers.find(([name]) => name === "x-door")![1];
  assert.equal(JSON.parse(one!.config).consumers[0].credential, key);
  assert.deepEqual(one!.expect.request?.headers?.at(-1), ["x-mse-consumer", "ann"]);
  assert.equal(one!.expect.local, "none");
  assert.match(
    Buffer.concat(one!.response!.body!).toString(),
    /^seen \/orders\?access_token=redacted-\d&page=2$/,
  );
  assert.equal(tests!.module, relative(root, module));
  const run = plugin("test", file);
  assert.equal(await run.ended, 0, run.stdout());
});

test("a denied request is a second case; the file's configuration stands once", async () => {
  const file = join(root, "key-auth.test.yaml");
  const before = await readFile(file, "utf8");
  const { text } = await recordOne(
    file,
    () => ask("/denied", {}),
    "--plugin",
    "higress-system.key-auth",
    "--path",
    "/denied",
  );
  assert.ok(text.startsWith(before.trimEnd()));
  const { tests } = parseTestFile(text, file);
  const local = tests!.cases[1]!.expect.local;
  assert.equal(typeof local === "object" && local.status, 401);
  assert.equal(text.split("consumers:").length, 2);
  const run = plugin("test", file);
  assert.equal(await run.ended, 0, run.stdout());
  assert.match(run.stdout(), /2 passed, 0 failed/);
});

test("a plugin further behind gets what is before it; --keep-header keeps a value", async () => {
  const file = join(root, "transformer.yaml");
  const module = join(process.cwd(), "build/plugins/transformer.wasm");
  const more = ["--plugin", "transformer", "--module", module, "--keep-header", "x-token"];
  const { text, stderr } = await recordOne(
    file,
    () => ask("/t", { "x-door": secret, "x-token": "kept" }),
    ...more,
  );
  assert.match(text, /\["x-token", "kept"\]/);
  assert.match(text, /\["x-mse-consumer", "ann"\]/);
  assert.match(text, /\["x-added", "yes"\]/);
  // It is another plugin's configuration that says where keys are.
  assert.ok(!text.includes(secret), stderr);
  const run = plugin("test", file);
  assert.equal(await run.ended, 0, run.stdout());
});

test("what cannot be recorded is said", async () => {
  const module = join(process.cwd(), "build/plugins/key-auth.wasm");
  const cases: readonly (readonly [RegExp, number, ...string[]])[] = [
    [/which plugin\?; there are higress-system\.key-auth, higress-system\.transformer/, 1],
    [/no plugin nobody; there are/, 1, "--plugin", "nobody"],
    [/no request that fits came within 1 s/, 1, "--plugin", "key-auth", "--wait", "1"],
  ];
  for (const [message, status, ...more] of cases) {
    const run = plugin(...recordArgs(join(root, "never.yaml"), "--module", module, ...more));
    assert.equal(await run.ended, status);
    assert.match(run.stderr(), message);
  }
  const without = plugin(...recordArgs(join(root, "never.yaml")));
  assert.equal(await without.ended, 1);
  assert.match(without.stderr(), /which module does the case run with\? .*expected --module/);
});

/** Asks a cluster about each request, and tells the upstream what it said, on which route and port. */
const asking = `import {
  Action, continueStream, Header, HttpAnswer, httpCall, HttpFilter, HttpReceiver, JsonValue, ConfigErrors, Plugin, Property,
  registerPlugin, requestHeaders, Status, StreamType,
} from "@wasmline/plugin-sdk/assembly";

export * from "@wasmline/plugin-sdk/assembly/exports";

const route = new Property(["route_name"]);
const port = new Property(["destination", "port"]);

class Asking extends HttpFilter implements HttpReceiver {
  onRequestHeaders(endOfStream: bool): Action {
    const lines: Header[] = [
      new Header(":method", "GET"), new Header(":path", "/ask"), new Header(":authority", "ask"),
      new Header("authorization", "Bearer of-the-plugin-itself"),
    ];
    const cluster = "outbound|80||wasmline-dev.default.svc.cluster.local";
    return httpCall(cluster, lines, null, 1000, this) == Status.Ok ? Action.Pause : Action.Continue;
  }

  onHttpAnswer(answer: HttpAnswer): void {
    const name = route.text();
    const said = answer.status.toString() + " " + (name === null ? "" : name) + " " + port.integer().toString();
    requestHeaders.set("x-said", said);
    continueStream(StreamType.Request);
  }
}

class Settings {}

class AskingPlugin extends Plugin<Settings> {
  parseConfig(json: JsonValue, errors: ConfigErrors): Settings {
    return new Settings();
  }

  createFilter(settings: Settings): HttpFilter {
    return new Asking();
  }
}

registerPlugin(() => new AskingPlugin());
`;

test("with wasmline dev: answers to calls and properties are in the case, which runs with each build from then on", async (t) => {
  const directory = join(root, "asking");
  await newPlugin({ name: "asking", language: "assemblyscript", directory });
  await writeFile(join(directory, "assembly/index.ts"), asking);
  const file = join(directory, "test/plugin.test.yaml");
  await rm(file);
  const port = await freePortOffset();
  const data = join(root, "dev");
  const dev = startWasmline(["dev", directory, "--port-offset", String(port), "--data-dir", data]);
  t.after(() => dev.stop("SIGKILL"));
  await dev.waitFor("stdout", /^ready .* 1 plugin in effect$/m);
  assert.match(dev.stdout(), /there are no tests in/);
  const [built] = await readdir(join(data, "dev"));
  const server = `http://127.0.0.1:${15000 + port}`;
  const recording = plugin("record", file, "--server", server, "--module", join(data, "dev", built!));
  await recording.waitFor("stderr", /^waiting /m);
  const { body } = await until("a request is recorded", async () => {
    const answer = await get(8080 + port, "/", "any.example.com");
    return /^redacted: /m.test(recording.stderr()) ? answer : undefined;
  });
  assert.equal(await recording.ended, 0, recording.stderr());
  const said = JSON.parse(body).headers["x-said"];
  const text = await readFile(file, "utf8");
  assert.match(said, /^200 \S+ \d+$/);
  assert.match(text, /\["x-said", "200 \S+ \d+"\]/);
  assert.match(text, /upstream: "outbound\|80\|\|wasmline-dev\.default\.svc\.cluster\.local"/);
  // What the plugin has of itself it still sends when the case runs: that is not expected, said, and not told.
  assert.match(recording.stderr(), /^not expected: calls\[0\]\.headers: recorded .*redacted-1.*redacted-1/m);
  assert.equal((recording.stderr().match(/not expected/g) ?? []).length, 1);
  assert.ok(!`${text}${recording.stderr()}`.includes("of-the-plugin-itself"));
  await dev.waitFor("stdout", /1 of 1 cases passed/);
  assert.equal(await dev.stop(), 0);
});
