import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { type HeaderLine, Host, type PluginModule, type TestStream } from "../../sdk/test/host.ts";
import { loadPlugin, startHost } from "../../sdk/test/modules.ts";

const consumers = [
  { name: "alice", credential: "a-key" },
  { name: "bob", credential: "b-key" },
];
const global = { keys: ["X-Api-Key", "apikey"], consumers, in_header: true };
const rule = { _match_route_: ["private"], allow: ["alice"] };

describe("key-auth", () => {
  let module: PluginModule;
  before(async () => {
    module = await loadPlugin("key-auth");
  });

  function send(host: Host, lines: HeaderLine[], route = "public", path = "/"): TestStream {
    const headers: HeaderLine[] = [[":authority", "foo.com"], [":path", path], ...lines];
    const stream = host.request(headers, { "xds.route_name": route });
    stream.end();
    return stream;
  }

  /** Name of the consumer that was let through, "anonymous", or the reason of the denial. */
  function ask(...request: Parameters<typeof send>): string {
    const stream = send(...request);
    const { reply } = stream;
    if (reply) return `${reply.status} ${reply.details}`;
    return stream.headers("request")?.find(([name]) => name === "x-mse-consumer")?.[1] ?? "anonymous";
  }

  it("asks every request for a key while there is no rule", () => {
    const host = startHost(module, global);
    assert.equal(ask(host, []), "401 key-auth.no_key");
    assert.equal(ask(host, [["x-api-key", ""]]), "401 key-auth.no_key");
    assert.equal(ask(host, [["x-api-key", "wrong"]]), "403 key-auth.unauthorized");
    assert.equal(ask(host, [["x-api-key", "b-key"]]), "bob");
    const two: HeaderLine[] = [
      ["x-api-key", "b-key"],
      ["apikey", "b-key"],
    ];
    assert.equal(ask(host, two), "401 key-auth.multi_key");
    const { reply } = send(host, two);
    assert.deepEqual(reply?.headers, [["www-authenticate", "Key realm=MSE Gateway"]]);
    assert.match(String(reply?.body), /Multi Key Authentication information found\.$/);
  });

  it("asks only where a rule applies, unless global_auth says otherwise", () => {
    const byRule = startHost(module, { ...global, _rules_: [rule] });
    assert.equal(ask(byRule, []), "anonymous");
    assert.equal(ask(byRule, [], "private"), "401 key-auth.no_key");
    assert.equal(ask(byRule, [["apikey", "a-key"]], "private"), "alice");
    assert.equal(ask(byRule, [["apikey", "b-key"]], "private"), "403 key-auth.unauthorized");
    const everywhere = startHost(module, { ...global, global_auth: true, _rules_: [rule] });
    assert.equal(ask(everywhere, []), "401 key-auth.no_key");
    assert.equal(ask(everywhere, [["apikey", "b-key"]]), "bob");
    assert.equal(ask(startHost(module, { ...global, global_auth: false }), []), "anonymous");
  });

  it("denies everything that a rule guards when there are no usable consumers", () => {
    const host = startHost(module, { _rules_: [rule] });
    assert.equal(ask(host, [["x-api-key", "a-key"]], "private"), "401 key-auth.no_key");
  });

  it("reads keys from the query", () => {
    const host = startHost(module, { ...global, in_header: false, in_query: true });
    const paths: Record<string, string> = {
      "/?apikey=%61-key": "alice",
      "/p?x=1&apikey=b-key#apikey=a-key": "bob",
      "/?apikey=b-key&apikey=": "401 key-auth.multi_key",
      "/?apikey": "403 key-auth.unauthorized",
      "/?apikey=b-key%zz": "401 key-auth.no_key",
      "/?apikey=b-key;x": "401 key-auth.no_key",
    };
    for (const [path, expected] of Object.entries(paths))
      assert.equal(ask(host, [], "public", path), expected, path);
  });

  it("names every error, and no credential", () => {
    const host = new Host(module);
    const twice = [...consumers, { name: "eve", credential: "a-key" }, { name: "nobody" }];
    assert.equal(host.start({ keys: [], consumers: twice }), false);
    const log = host.logs.join("\n");
    for (const text of [
      "keys cannot be empty",
      "in_query/in_header",
      "consumers[2] has the one of alice",
      "consumers[3]",
    ]) {
      assert.ok(log.includes(text), text);
    }
    assert.ok(!log.includes("a-key"));
    // Names of headers are the same in any letter case, those of parameters are not.
    assert.equal(new Host(module).start({ ...global, keys: ["key", "Key"] }), false);
    assert.equal(
      new Host(module).start({ ...global, keys: ["key", "Key"], in_header: false, in_query: true }),
      true,
    );
  });
});
