import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { fc, fuzzRuns } from "../../test/peers/properties.ts";
import { type HeaderLine, Host, loadModule, type PluginModule } from "./host.ts";
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

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Envoy until 1.32 and Higress. */
const hasOldNames = (property: string) => !property.startsWith("xds.");
/** Envoy since. */
const hasNewNames = (property: string) => property.startsWith("xds.");

/** A host pattern as the reference reads it. */
function fits(host: string, pattern: string): boolean {
  if (pattern.startsWith("*")) return host.endsWith(pattern.slice(1));
  return pattern.endsWith("*") ? host.startsWith(pattern.slice(0, -1)) : host === pattern;
}

describe("rule matcher", () => {
  let module: PluginModule;
  before(async () => {
    module = await loadModule(await buildFixture());
  });

  /** Which configuration the plugin used, as the vectors name it. */
  function match(host: Host, authority: string, properties: Record<string, string>): string {
    host.logs.length = 0;
    host.request(requestLines(authority), properties).end();
    return host.logs[0]?.replace("match ", "") ?? "none";
  }

  /** Runs the queries of a vector; each that came out otherwise, with the result. */
  function differences(vector: MatchingCase, config: unknown, knows?: Host["knows"]): string[] {
    const host = new Host(module);
    if (knows) host.knows = knows;
    const started = host.start(config);
    assert.equal(started, vector.parse_error === undefined, `${vector.name}: ${host.logs.join("; ")}`);
    if (!started) {
      assert.ok(
        host.logs.some((line) => line.endsWith(vector.parse_error!)),
        vector.name,
      );
      return [];
    }
    const different: string[] = [];
    for (const { host: name, route_name, cluster_name, result } of vector.queries ?? []) {
      const properties = { "xds.route_name": route_name, "xds.cluster_name": cluster_name };
      const actual = match(host, name, properties);
      if (actual !== result) different.push(`${vector.name}: ${name} ${cluster_name}: ${result} → ${actual}`);
    }
    return different;
  }

  it("decides like the reference in every vector with strict: true, with the old and the new property names", async () => {
    for (const vector of await readVectors<MatchingCase[]>("matching")) {
      const config = isObject(vector.config) ? { ...vector.config, strict: true } : vector.config;
      for (const knows of [hasOldNames, hasNewNames])
        assert.deepEqual(differences(vector, config, knows), []);
    }
  });

  it("decides like the reference by default, but for letters' case, patterns' ports and services' wildcards", async () => {
    const different = (await readVectors<MatchingCase[]>("matching")).flatMap((vector) =>
      differences(vector, vector.config),
    );
    const isMeant = /: FOO\.com |^domain:foo\.com:80: |^service:\*\.svc\.cluster\.local: /;
    assert.deepEqual(
      different.filter((line) => !isMeant.test(line)),
      [],
    );
    assert.ok(different.length > 0);
  });

  it("takes a configuration that was left out as an empty global one", () => {
    assert.equal(match(startHost(module, undefined), "foo.com", {}), "global");
  });

  it("asks for a property only when a rule looks at it, and for one spelling only", () => {
    const byHost = startHost(module, { _rules_: [{ _match_domain_: ["foo.com"] }] });
    assert.equal(match(byHost, "foo.com", {}), "rule:00");
    assert.deepEqual(byHost.asked, []);

    const byRoute = startHost(module, { _rules_: [{ _match_route_: ["r"] }] });
    byRoute.knows = hasNewNames;
    for (let i = 0; i < 3; i++) assert.equal(match(byRoute, "foo.com", { "xds.route_name": "r" }), "rule:00");
    assert.deepEqual(byRoute.asked, ["route_name", "xds.route_name", "xds.route_name", "xds.route_name"]);
  });

  it("takes a request without a host as one with an empty host; the reference lets it pass the plugin", () => {
    const config = { g: 1, _rules_: [{ _match_domain_: ["foo.com"] }] };
    for (const [each, lines] of [
      [config, ["match global"]],
      [{ ...config, strict: true }, []],
    ] as const) {
      const host = startHost(module, each);
      host.request([[":path", "/"]]).end();
      assert.deepEqual(host.logs, lines);
    }
  });

  it("knows a host however it is spelled, and leaves ports out on both sides", () => {
    const host = startHost(module, {
      _rules_: [
        { _match_domain_: ["A.Test.com:8443"] },
        { _match_domain_: ["*.Foo.com:80"] },
        { _match_domain_: ["WWW.*"] },
        { _match_domain_: ["[::1]:80"] },
      ],
    });
    const expected = {
      "a.test.com": "rule:00",
      "A.TEST.COM:1": "rule:00",
      "a.test.com.": "rule:00",
      "a.test.com.:80": "rule:00",
      "x.fOO.com:9": "rule:01",
      "foo.com": "none",
      "Www.any": "rule:02",
      "[::1]:443": "rule:03",
    };
    for (const [name, result] of Object.entries(expected)) assert.equal(match(host, name, {}), result, name);
  });

  it("takes wildcards in services, with and without a port", () => {
    const config = {
      _rules_: [
        { _match_service_: ["*.dns:443"] },
        { _match_service_: ["qwen.*"] },
        { _match_service_: ["a.*:80"] },
        { _match_route_: ["r"], _match_service_: ["*.local"] },
        { _match_service_: ["*"] },
      ],
    };
    const host = startHost(module, config);
    const strict = startHost(module, { ...config, strict: true });
    const expected = {
      "outbound|443||x.dns": "rule:00",
      "outbound|80||x.dns": "rule:04",
      "outbound|443||qwen.dns": "rule:00",
      "outbound|80|v1|qwen.static": "rule:01",
      "outbound|80||a.b": "rule:02",
      "outbound|81||a.b": "rule:04",
      "outbound|81||c.local": "rule:03",
      "not-a-service": "none",
    };
    for (const [cluster_name, result] of Object.entries(expected)) {
      const properties = { "xds.cluster_name": cluster_name, "xds.route_name": "r" };
      assert.equal(match(host, "x", properties), result, cluster_name);
      assert.equal(match(strict, "x", properties), "none");
    }
  });

  it("finds what a search by trial finds", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "b", "."), maxLength: 4 });
    const pattern = fc
      .tuple(fc.constantFrom("", "*"), text, fc.constantFrom("", "*"))
      .map((each) => each.join(""));
    const rule = fc.oneof(
      fc.array(pattern, { minLength: 1, maxLength: 3 }).map((_match_domain_) => ({ _match_domain_ })),
      fc
        .array(
          text.filter((each) => each !== ""),
          { minLength: 1, maxLength: 3 },
        )
        .map((_match_route_prefix_) => ({ _match_route_prefix_ })),
    );
    fc.assert(
      fc.property(
        fc.array(rule, { minLength: 1, maxLength: 30 }),
        fc.array(fc.tuple(text, text)),
        (rules, streams) => {
          const host = startHost(module, { _rules_: rules, strict: true });
          for (const [name, route_name] of streams) {
            const first = rules.findIndex((each) =>
              "_match_domain_" in each
                ? each._match_domain_.some((one) => fits(name, one))
                : each._match_route_prefix_.some((one) => route_name.startsWith(one)),
            );
            const expected = first < 0 ? "none" : `rule:${String(first).padStart(2, "0")}`;
            assert.equal(match(host, name, { "xds.route_name": route_name }), expected);
          }
        },
      ),
      { numRuns: fuzzRuns(200) },
    );
  });

  it("does not count the log tag as configuration", () => {
    const host = startHost(module, { _plugin_id_: "x", _rules_: [{ _match_route_: ["r"] }] });
    assert.equal(match(host, "foo.com", { "xds.route_name": "other" }), "none");
  });

  it("refuses a global configuration that cannot be read beside rules; the reference leaves it out in silence", () => {
    const config = { bad: 1, _rules_: [{ _match_route_: ["r"] }] };
    const refused = new Host(module);
    assert.equal(refused.start(config), false);
    assert.deepEqual(refused.logs, ["configuration: bad config"]);
    const strict = startHost(module, { ...config, strict: true });
    assert.deepEqual(strict.logs, ["global configuration is not used: bad config"]);
  });

  it("names every broken rule, and keys that decide nothing", () => {
    const broken = new Host(module);
    const rules = [{ _match_route_: ["r"], bad: 1 }, { _match_domain_: ["a"], _match_service_: ["s"] }, {}];
    assert.equal(broken.start({ g: 1, _rules_: rules }), false);
    assert.match(broken.logs[0]!, /^configuration: _rules_\[1\]: _match_service_ decides nothing/);
    assert.match(broken.logs[1]!, /^configuration: _rules_\[0\]: bad config$/);
    assert.match(broken.logs[2]!, /^configuration: _rules_\[2\]: there is at least one of/);
    assert.equal(broken.logs.length, 3);
  });

  it("treats a colon in a cluster's port as no port", () => {
    const host = startHost(module, { _rules_: [{ _match_service_: ["a:b:80"] }] });
    assert.equal(match(host, "x", { "xds.cluster_name": "outbound|b:80||a" }), "none");
    assert.equal(match(host, "x", { "xds.cluster_name": "outbound|80||a:b" }), "rule:00");
  });
});
