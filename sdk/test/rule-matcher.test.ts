import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { type HeaderLine, Host } from "./host.ts";
import { buildFixture, readVectors, startHost } from "./modules.ts";

interface MatchingCase {
  readonly name: string;
  readonly config: unknown;
  readonly parse_error?: string;
  readonly queries?: readonly { host: string; route_name: string; cluster_name: string; result: string }[];
}

const requestLines = (host: string): HeaderLine[] => [
  [":authority", host],
  [":path", "/"],
];

describe("rule matcher", () => {
  let module = "";
  before(async () => {
    module = await buildFixture();
  });

  /** Which configuration the plugin used, as the vectors name it. */
  function match(host: Host, authority: string, properties: Record<string, string>): string {
    host.logs.length = 0;
    const { id } = host.request(requestLines(authority), properties);
    host.end(id);
    return host.logs[0]?.replace("match ", "") ?? "none";
  }

  it("decides like the reference in every vector, with the old and the new property names", async () => {
    for (const vector of await readVectors<MatchingCase[]>("matching")) {
      for (const prefix of ["", "xds."]) {
        const host = new Host(module);
        const started = host.start(vector.config);
        assert.equal(started, vector.parse_error === undefined, `${vector.name}: ${host.logs.join("; ")}`);
        if (vector.parse_error !== undefined)
          assert.ok(
            host.logs.some((line) => line.endsWith(vector.parse_error!)),
            vector.name,
          );
        for (const query of vector.queries ?? []) {
          const properties = {
            [`${prefix}route_name`]: query.route_name,
            [`${prefix}cluster_name`]: query.cluster_name,
          };
          assert.equal(
            match(host, query.host, properties),
            query.result,
            `${vector.name}: ${JSON.stringify(query)}`,
          );
        }
      }
    }
  });

  it("takes a configuration that was left out as an empty global one", () => {
    assert.equal(match(startHost(module, undefined), "foo.com", {}), "global");
  });

  it("asks for a property only when a rule looks at it, and for one spelling only", () => {
    const byHost = startHost(module, { _rules_: [{ _match_domain_: ["foo.com"] }] });
    assert.equal(match(byHost, "foo.com", {}), "rule:00");
    assert.deepEqual(byHost.asked, []);

    const byRoute = startHost(module, { _rules_: [{ _match_route_: ["r"] }] });
    for (let i = 0; i < 3; i++) assert.equal(match(byRoute, "foo.com", { "xds.route_name": "r" }), "rule:00");
    assert.deepEqual(byRoute.asked, ["route_name", "xds.route_name", "xds.route_name", "xds.route_name"]);
  });

  it("applies nothing when a rule needs the host and the request has none", () => {
    const host = startHost(module, { g: 1, _rules_: [{ _match_domain_: ["*"] }] });
    const { id } = host.request([[":path", "/"]]);
    host.end(id);
    assert.deepEqual(host.logs, []);
  });

  it("does not count the log tag as configuration", () => {
    const host = startHost(module, { _plugin_id_: "x", _rules_: [{ _match_route_: ["r"] }] });
    assert.equal(match(host, "foo.com", { route_name: "other" }), "none");
  });

  it("says why the global configuration is not used, and names every broken rule", () => {
    const silent = startHost(module, { bad: 1, _rules_: [{ _match_route_: ["r"] }] });
    assert.deepEqual(silent.logs, ["global configuration is not used: bad config"]);

    const broken = new Host(module);
    assert.equal(
      broken.start({ g: 1, _rules_: [{ _match_route_: ["r"], bad: 1 }, { _match_domain_: ["a"] }, {}] }),
      false,
    );
    assert.match(broken.logs[0]!, /^configuration: _rules_\[0\]: bad config$/);
    assert.match(broken.logs[1]!, /^configuration: _rules_\[2\]: there is at least one of/);
    assert.equal(broken.logs.length, 2);
  });

  it("treats a colon in a cluster's port as no port", () => {
    const host = startHost(module, { _rules_: [{ _match_service_: ["a:b:80"] }] });
    assert.equal(match(host, "x", { cluster_name: "outbound|b:80||a" }), "none");
    assert.equal(match(host, "x", { cluster_name: "outbound|80||a:b" }), "rule:00");
  });
});
