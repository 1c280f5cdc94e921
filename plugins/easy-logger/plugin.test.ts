import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { Host } from "../../sdk/test/host.ts";
import { loadPlugin, startHost } from "../../sdk/test/modules.ts";
import {
  createLocalOutside,
  createPluginHost,
  LogLevel,
  MemoryStream,
  type PluginModule,
} from "../../src/proxy-wasm/index.ts";
import { fc, fuzzRuns } from "../../test/peers/properties.ts";

/** What no line may show, in no letter of it. */
const secret = "S3CR3T";
const plain = fc.string({ unit: fc.constantFrom(...'ab:,{}[]"\\ é=&%') });
const hiddenName = fc
  .constantFrom("password", "token", "access_token", "client_secret", "apikey")
  .chain((name) => fc.constantFrom(name, name.toUpperCase(), `${name[0]!.toUpperCase()}${name.slice(1)}`));
/** JSON in which secrets stand under names that are hidden, and nowhere else. */
const withSecrets = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    plain,
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(plain, tie("value"), { maxKeys: 3 }),
    fc.tuple(hiddenName, hidden(), tie("value")).map(([name, value, other]) => ({ [name]: value, other })),
  ),
})).value;

function hidden(): fc.Arbitrary<unknown> {
  return fc.constantFrom<unknown>(secret, [secret, { a: secret }], { a: { b: [secret] }, c: `"${secret}` });
}

/** JSON as others write it: with spaces, and with names in escapes. */
const written = fc
  .tuple(withSecrets, fc.constantFrom(0, 1, 3), fc.boolean())
  .map(([value, spaces, escaped]) => {
    const text = JSON.stringify(value, null, spaces);
    return escaped ? text.replaceAll("ass", "\\u0061ss") : text;
  });

/** A form in which the secret is the value of a hidden name. */
const form = fc
  .array(
    fc.oneof(
      plain.map(encodeURIComponent),
      hiddenName.map((name) => `${name.replace("o", "%6f")}=${secret}`),
    ),
  )
  .map((pairs) => pairs.join("&"));

describe("easy-logger", () => {
  let module: PluginModule;
  before(async () => {
    module = await loadPlugin("easy-logger");
  });

  function run(host: Host): void {
    const stream = host.request([
      [":method", "GET"],
      [":path", '/a"b'],
      [":authority", "foo.com"],
      ["x-a", "1"],
    ]);
    stream.response([[":status", "404"]]);
    stream.end();
  }

  it("writes one JSON line for a request, with the chosen fields in their order", () => {
    const standard = startHost(module, undefined);
    run(standard);
    assert.deepEqual(standard.logs, [
      '{"method":"GET","path":"/a\\"b","host":"foo.com","status":404,"duration":null}',
    ]);
    const chosen = startHost(module, { fields: ["status", "request_header.x-a", "route"] });
    run(chosen);
    assert.deepEqual(chosen.logs, ['{"status":404,"request_header.x-a":"1","route":null}']);
  });

  it("spreads samples evenly", () => {
    const host = startHost(module, { sampling: 0.25 });
    for (let i = 0; i < 100; i++) run(host);
    assert.equal(host.logs.length, 25);
  });

  it("does nothing while the level is off", () => {
    const host = startHost(module, {});
    host.logLevel = LogLevel.Warn;
    run(host);
    assert.deepEqual(host.logs, []);
    assert.deepEqual(host.asked, []);
  });

  it("follows rules", () => {
    const host = startHost(module, { _rules_: [{ _match_domain_: ["bar.com"] }] });
    run(host);
    assert.deepEqual(host.logs, []);
  });

  it("names every error", () => {
    const host = new Host(module);
    assert.equal(host.start({ fields: ["metod", "request_header."], sampling: 2 }), false);
    const log = host.logs.join("\n");
    for (const text of ['fields[0] is "metod"', 'fields[1] is "request_header."', "sampling is 2"])
      assert.ok(log.includes(text));
  });

  it("shows nothing of a secret, wherever a body is cut", async () => {
    const lines: string[] = [];
    const host = createPluginHost(createLocalOutside({ log: ({ message }) => lines.push(message) }));
    const message = fc.oneof(
      written.map((body) => ({ body, type: "application/json" })),
      form.map((body) => ({ body, type: "application/x-www-form-urlencoded" })),
    );
    fc.assert(
      fc.property(message, fc.integer({ min: 1, max: 300 }), fc.nat(), ({ body, type }, limit, cut) => {
        lines.length = 0;
        const pieces = [body.slice(0, cut % (body.length + 1)), body.slice(cut % (body.length + 1))];
        logBody(module, host, { limit }, type, pieces);
        assert.equal(lines.length, 1);
        const line = JSON.parse(lines[0]!) as Record<string, unknown>;
        assert.equal(typeof line.request_body, "string");
        assert.equal(line.request_body_cut, Buffer.byteLength(body) > limit ? true : undefined);
        assert.ok(!lines[0]!.includes("S3"), lines[0]);
      }),
      { numRuns: fuzzRuns(300) },
    );
  });
});

/** Sends a body through a plugin that logs the bodies of requests. */
function logBody(
  module: PluginModule,
  host: ReturnType<typeof createPluginHost>,
  body: object,
  type: string,
  pieces: readonly string[],
): void {
  const configuration = JSON.stringify({ fields: ["request_body"], body });
  const plugin = host.start({ name: "easy-logger", module, configuration });
  const stream = new MemoryStream([plugin]);
  stream.sendRequest({
    headers: [
      [":path", "/"],
      [":method", "POST"],
      ["content-type", type],
    ],
    body: pieces,
  });
  stream.sendResponse({ headers: [[":status", "200"]] });
  stream.end();
  plugin.close();
}
