import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";
import { dump, load } from "js-yaml";

/** A place at which two results differ; what one does not have is left out. */
export interface Difference {
  readonly at: string;
  readonly envoy?: unknown;
  readonly host?: unknown;
}

/** Differences that are meant, with the reason, by cases: `FILE: NAME`. */
export interface IntendedDifference {
  readonly reason: string;
  readonly cases: Readonly<Record<string, readonly Difference[]>>;
}

const file = fileURLToPath(new URL("differences.yaml", import.meta.url));

/** Compares two results field by field; lists of different lengths differ as a whole. */
export function findDifferences(envoy: unknown, host: unknown, at = ""): Difference[] {
  if (isDeepStrictEqual(envoy, host)) return [];
  if (!isNode(envoy) || !isNode(host) || isHeaderList(at) || Array.isArray(envoy) !== Array.isArray(host))
    return [differenceOf(at, envoy, host)];
  if (Array.isArray(envoy) && Array.isArray(host) && envoy.length !== host.length)
    return [differenceOf(at, envoy, host)];
  const keys = [...new Set([...Object.keys(envoy), ...Object.keys(host)])];
  return keys.flatMap((key) => findDifferences(envoy[key], host[key], at === "" ? key : `${at}.${key}`));
}

type Node = { readonly [key: string]: unknown };

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null;
}

const isHeaderList = (at: string) => /\.(headers|trailers)$/.test(at);

function differenceOf(at: string, envoy: unknown, host: unknown): Difference {
  return { at, ...(envoy === undefined ? {} : { envoy }), ...(host === undefined ? {} : { host }) };
}

/** The differences that are meant. */
export async function readIntended(): Promise<readonly IntendedDifference[]> {
  return load(await readFile(file, "utf8")) as readonly IntendedDifference[];
}

/** Those of a case, whatever the reason. */
export function intendedFor(
  intended: readonly IntendedDifference[],
  cases: string,
  name: string,
): readonly Difference[] {
  return intended.flatMap((each) => each.cases[`${cases}: ${name}`] ?? []);
}

/** Writes the differences of these cases; what is new comes below a reason that somebody has to write. */
export async function writeIntended(found: ReadonlyMap<string, readonly Difference[]>): Promise<void> {
  const intended = await readIntended();
  const known = new Set(intended.flatMap((each) => Object.keys(each.cases)));
  const fresh = [...found].filter(([name, differences]) => differences.length > 0 && !known.has(name));
  const kept = intended.map(({ reason, cases }) => ({
    reason,
    cases: Object.fromEntries(
      Object.entries(cases)
        .map(([name, differences]) => [name, found.get(name) ?? differences] as const)
        .filter(([, differences]) => differences.length > 0),
    ),
  }));
  const all = [
    ...kept.filter(({ cases }) => Object.keys(cases).length > 0),
    ...(fresh.length === 0 ? [] : [{ reason: "?", cases: Object.fromEntries(fresh) }]),
  ];
  const intro =
    "# Where our host differs from Envoy on purpose, and why. Written by differential.test.ts --update, the reasons by people.\n";
  await writeFile(file, intro + dump(all, { flowLevel: 5, lineWidth: -1, noRefs: true }));
}
