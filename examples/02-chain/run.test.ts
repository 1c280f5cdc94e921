import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { load } from "js-yaml";
import { onEachGateway } from "../../test/peers/gateways.ts";
import { httpFiltersOf } from "../../test/peers/http-filters.ts";
import { get } from "../../test/peers/request.ts";
import { type Example, type SeedSystem, startExample } from "../../test/peers/seed-system.ts";
import { until } from "../../test/peers/until.ts";
import { httpFilters } from "../01-seed/chapter.ts";

/** What came to the upstream: the request line's path, and who key-auth says it is. */
const arrived: string[] = [];

const example: Example = {
  name: "02-chain",
  answer(request, response) {
    arrived.push(`${request.url} for ${request.headers["x-mse-consumer"] ?? "nobody"}`);
    response.setHeader("x-internal", "of no interest outside");
    response.end("shop\n");
  },
};

interface Exchange {
  readonly what: string;
  readonly host: string;
  readonly path: string;
  readonly headers?: Record<string, string>;
  readonly status: number;
  readonly body: string;
  readonly answered?: string;
  /** At the upstream; left out: nothing. */
  readonly arrives?: string;
  /** Of easy-logger's line, beside method, host and path. */
  readonly logged: object;
}

const needsKey = '{"error":"send your key in the header x-api-key"}';
const denied = "Request denied by Key Auth check. Unauthorized consumer.";

const exchanges: readonly Exchange[] = [
  {
    what: "a route without a rule of key-auth is open to all",
    ...{ host: "catalog.example.com", path: "/shoes", status: 200, body: "shop\n" },
    arrives: "/shoes for nobody",
    logged: { path: "/shoes", status: 200, consumer: null, key: null },
  },
  {
    what: "custom-response gives key-auth's denial another form",
    ...{ host: "orders.example.com", path: "/1", status: 401, body: needsKey },
    answered: "custom-response",
    logged: { path: "/1", status: 401, consumer: null, key: null },
  },
  {
    what: "key-auth finds the key that transformer took from the query",
    ...{ host: "orders.example.com", path: "/1?key=key-of-ann&n=2", status: 200, body: "shop\n" },
    arrives: "/1?n=2 for ann",
    logged: { path: "/1?n=2", status: 200, consumer: "ann", key: "[redacted]" },
  },
  {
    what: "a consumer that the rule does not allow is denied, and custom-response leaves that as it is",
    ...{ host: "orders.example.com", path: "/2", status: 403, body: denied },
    headers: { "x-api-key": "key-of-ben" },
    logged: { path: "/2", status: 403, consumer: "ben", key: "[redacted]" },
  },
  {
    what: "custom-response answers for a closed domain before all others",
    ...{ host: "closed.example.com", path: "/3", status: 503, body: '{"error":"back in two minutes"}' },
    logged: { path: "/3", status: 503, consumer: null, key: null },
  },
];

onEachGateway((gateway) => {
  let system: SeedSystem;

  before(async () => {
    system = await startExample(gateway, example, "--ecds-default=always");
  });
  after(() => system.close());

  for (const { what, host, path, headers, status, body, answered, arrives, logged } of exchanges)
    test(what, async () => {
      arrived.length = 0;
      const answer = await get(system.trafficPort, path, host, undefined, headers);
      assert.deepEqual([answer.status, answer.body], [status, body]);
      assert.equal(answer.headers["x-answered-by"], answered);
      assert.equal(answer.headers["x-internal"], undefined);
      assert.deepEqual(arrived, arrives === undefined ? [] : [arrives]);
      const line = await until("easy-logger's line", () => findLine(system, host, status));
      const { path: to, status: code, consumer, "request_header.x-api-key": key } = line;
      assert.deepEqual({ path: to, status: code, consumer, key }, logged);
    });

  test("no key is in what is logged", () => {
    const { up } = system;
    for (const key of ["key-of-ann", "key-of-ben"]) assert.ok(!`${up.stdout()}${up.stderr()}`.includes(key));
  });

  test("the gateway's filters are those of the chapter, in its order", async () => {
    assert.deepEqual(await httpFiltersOf(system.adminPort), load(httpFilters));
  });

  test("behind key-auth transformer comes too late", async () => {
    await system.edit("chain.yaml", (text) =>
      text.replace("  phase: AUTHN\n  priority: 100\n", "  priority: 5\n"),
    );
    const denied = await until("a denial", async () => {
      const answer = await get(system.trafficPort, "/4?key=key-of-ann", "orders.example.com");
      return answer.status === 401 ? answer : undefined;
    });
    assert.equal(denied.body, needsKey);
  });
});

/** The line of easy-logger about a host and a status, as the gateway's log has it. */
function findLine({ up }: SeedSystem, host: string, status: number): Record<string, unknown> | undefined {
  const lines = up.stderr().match(/\{(?:\\?")method.*?\}(?!")/g) ?? [];
  return lines
    .map((text) => parseLine(text))
    .findLast((line) => line?.host === host && line.status === status);
}

function parseLine(text: string): Record<string, unknown> | undefined {
  const plain = text.startsWith('{\\"') ? (JSON.parse(`"${text}"`) as string) : text;
  return JSON.parse(plain) as Record<string, unknown>;
}
