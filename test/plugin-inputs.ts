import { readdirSync, readFileSync } from "node:fs";
import { parseTestFile } from "../src/plugin/test-file.ts";
import type { HeaderLine } from "../src/proxy-wasm/index.ts";
import { fc } from "./peers/properties.ts";

// Configurations and requests for the plugins of the repository, made at random.

/** Words that configurations and requests have in common, so that what is made at random is read, and not only refused. */
export const words: Readonly<Record<string, readonly string[]>> = {
  "key-auth": [
    "keys",
    "in_header",
    "in_query",
    "consumers",
    "name",
    "credential",
    "global_auth",
    "allow",
    "x-a",
  ],
  "custom-response": [
    "rules",
    "status_code",
    "headers",
    "body",
    "enable_on_status",
    "a=b",
    "40x",
    "404",
    "503",
  ],
  transformer: [
    ...[
      "reroute",
      "reqRules",
      "respRules",
      "operate",
      "mapSource",
      "headers",
      "querys",
      "body",
      "key",
      "value",
    ],
    ...[
      "remove",
      "rename",
      "replace",
      "add",
      "append",
      "map",
      "dedupe",
      "oldKey",
      "newKey",
      "newValue",
      "x-a",
    ],
    ...[
      "host_pattern",
      "path_pattern",
      "^(a|b)+$",
      "$1",
      "value_type",
      "object",
      "strategy",
      "fromKey",
      "toKey",
    ],
  ],
  "easy-logger": [
    ...[
      "fields",
      "sampling",
      "slow_threshold",
      "level",
      "redact",
      "headers",
      "defaults",
      "body",
      "limit",
      "types",
    ],
    ...[
      "request_body",
      "response_body",
      "request_headers",
      "status",
      "path",
      "request_header.x-a",
      "password",
    ],
  ],
};
export const common = [
  "_rules_",
  "_match_domain_",
  "_match_route_",
  "_match_service_",
  "strict",
  "_plugin_id_",
  "*",
  "foo.com",
];

export const method: readonly HeaderLine[] = [
  [":method", "POST"],
  [":scheme", "http"],
];

/** A request, and its response with the same headers and body. */
export interface Exchange {
  readonly path: string;
  readonly host: string;
  readonly lines: readonly (readonly [string, string])[];
  readonly type: string;
  readonly body: readonly Uint8Array[];
  readonly status: string;
}

export const usual: Exchange = {
  path: "/a?x-a=1&password=2",
  host: "foo.com",
  lines: [["x-a", "1"]],
  type: "application/json",
  body: [Buffer.from('{"x-a":1}')],
  status: "404",
};

function configurations(known: readonly string[]): fc.Arbitrary<string> {
  const word = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...known, ...common) },
    fc.string({ unit: "binary" }),
  );
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 5, withCrossShrink: true },
      fc.oneof(word, fc.double(), fc.integer({ min: -2, max: 1000 }), fc.boolean(), fc.constant(null)),
      fc.array(tie("value"), { maxLength: 5 }),
      fc.dictionary(word, tie("value"), { maxKeys: 8 }),
    ),
  }));
  return value.map((each) => JSON.stringify(each));
}

/** Configurations from the plugin's cases, with something else in one place. */
function changed(samples: readonly string[], known: readonly string[]): fc.Arbitrary<string> {
  return fc.tuple(fc.constantFrom(...samples), fc.nat(), configurations(known)).map(([sample, at, text]) => {
    const root: unknown = { root: JSON.parse(sample) };
    const places = placesIn(root);
    const [parent, key] = places[at % places.length]!;
    parent[key] = JSON.parse(text);
    return JSON.stringify((root as { root: unknown }).root);
  });
}

/** Every member and element in a value, at any depth. */
function placesIn(value: unknown): [Record<string, unknown>, string][] {
  if (typeof value !== "object" || value === null) return [];
  const parent = value as Record<string, unknown>;
  return Object.keys(parent).flatMap((key): [Record<string, unknown>, string][] => [
    [parent, key],
    ...placesIn(parent[key]),
  ]);
}

/** The configurations of a plugin's files with cases that are JSON objects. */
export function readSamples(name: string): string[] {
  const folder = new URL(`../plugins/${name}/test/`, import.meta.url);
  const files = readdirSync(folder).filter((file) => file.endsWith(".yaml"));
  const cases = files.flatMap(
    (file) => parseTestFile(readFileSync(new URL(file, folder), "utf8"), file).tests?.cases ?? [],
  );
  return [...new Set(cases.map(({ config }) => config).filter((config) => config.startsWith("{")))];
}

/** Valid JSON, JSON with something wrong in it, and any bytes. */
export function texts(samples: readonly string[], known: readonly string[]): fc.Arbitrary<Uint8Array> {
  const valid = fc.oneof({ weight: 3, arbitrary: changed(samples, known) }, configurations(known));
  const broken = fc
    .tuple(valid, fc.nat(), fc.uint8Array({ maxLength: 3 }))
    .map(([text, at, bytes]): Uint8Array => {
      const source = Buffer.from(text);
      const place = at % (source.length + 1);
      return Buffer.concat([source.subarray(0, place), bytes, source.subarray(place + 1)]);
    });
  return fc.oneof(
    { weight: 6, arbitrary: valid.map((text): Uint8Array => Buffer.from(text)) },
    { weight: 2, arbitrary: broken },
    fc.uint8Array({ maxLength: 100 }),
  );
}

const latin1 = fc.string({
  unit: fc.integer({ min: 0x20, max: 0xff }).map((unit) => String.fromCharCode(unit)),
});

/** Requests with anything in them. */
export function exchanges(known: readonly string[]): fc.Arbitrary<Exchange> {
  const word = fc.oneof(latin1, fc.constantFrom(...known));
  const line = fc.tuple(fc.oneof(fc.constantFrom("x-a", "cookie", "content-encoding", "referer")), word);
  const type = fc.constantFrom(
    "application/json",
    "application/x-www-form-urlencoded",
    "text/plain",
    "multipart/form-data; boundary=a",
  );
  const body = fc.oneof(
    configurations(known).map((text): Uint8Array => Buffer.from(text)),
    fc.uint8Array({ maxLength: 200 }),
  );
  return fc.record({
    path: latin1.map((text) => `/?${text}`),
    host: latin1,
    lines: fc.array(line, { maxLength: 6 }),
    type,
    body: fc.array(body, { maxLength: 3 }),
    status: fc.constantFrom("200", "404", "503", "x", ""),
  });
}
