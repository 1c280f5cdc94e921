import { isDeepStrictEqual } from "node:util";
import type { Exchange, Side } from "../peers/twins/twins.ts";

/** A place at which the two gateways differ. */
export interface Difference {
  readonly at: string;
  readonly envoy: unknown;
  readonly gateway: unknown;
}

/** Compares what a request came to on both sides field by field; lists of lines as a whole, in their order. */
export function compareExchanges({ envoy, gateway }: Readonly<Record<Side, Exchange>>): Difference[] {
  return compare(withoutChance(envoy), withoutChance(gateway), "");
}

function compare(envoy: unknown, gateway: unknown, at: string): Difference[] {
  if (isDeepStrictEqual(envoy, gateway)) return [];
  if (!isObject(envoy) || !isObject(gateway) || Array.isArray(envoy) !== Array.isArray(gateway))
    return [{ at, envoy, gateway }];
  const isList = Array.isArray(envoy);
  if (isList && (envoy.length !== (gateway as unknown as unknown[]).length || typeof envoy[0] === "string"))
    return [{ at, envoy, gateway }];
  return Object.keys(envoy).flatMap((key) =>
    compare(envoy[key], gateway[key], at === "" ? key : `${at}.${key}`),
  );
}

function isObject(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === "object" && value !== null;
}

type Replacement = string | ((all: string, name: string, value: string) => string);

const chances: readonly (readonly [RegExp, Replacement])[] = [
  [/^date: .*/, "date: -"],
  [/^(x-envoy-upstream-service-time): \d+/, "$1: -"],
  // Of a second attempt it is less, by the time that the first one took.
  [
    /^(x-envoy-expected-rq-timeout-ms): (\d+)$/,
    (_, name, ms) => `${name}: ${Math.ceil(Number(ms) / 100) * 100}`,
  ],
  [/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}/g, "UUID"],
];

/** Without what differs from one request to the next. */
function withoutChance({ answer, upstream }: Exchange): Exchange {
  return {
    answer: { ...answer, headers: answer.headers.map(plain) },
    upstream: upstream.map((each) => ({ ...each, headers: each.headers.map(plain) })),
  };
}

function plain(line: string): string {
  return chances.reduce((text, [pattern, replacement]) => text.replace(pattern, replacement as string), line);
}
