import type { HeaderMatcher } from "../gen/envoy/config/route/v3/route_components_pb.ts";
import type { HeaderMap } from "../proxy-wasm/header-map.ts";
import { refuse, within } from "./refused-config.ts";
import { compileRegexMatcher, compileStringMatcher, type TextTest, textTest } from "./string-match.ts";

/** Whether headers are meant. */
export type HeaderTest = (headers: HeaderMap) => boolean;

/** Compiles Envoy's HeaderMatcher. A header that is not there matches no value, not even an inverted one. */
export function compileHeaderMatcher(matcher: HeaderMatcher): HeaderTest {
  const { headerMatchSpecifier: by, invertMatch, treatMissingHeaderAsEmpty } = matcher;
  if (matcher.name === "") refuse("name", "value length must be at least 1 characters");
  const name = matcher.name.toLowerCase();
  if (by.case === undefined || by.case === "presentMatch") {
    const wanted = (by.value ?? true) !== invertMatch;
    return (headers) => (treatMissingHeaderAsEmpty || headers.get(name) !== undefined) === wanted;
  }
  const test = valueTest(by);
  return (headers) => {
    const value = joinedValue(headers, name) ?? (treatMissingHeaderAsEmpty ? "" : undefined);
    return value !== undefined && test(value) !== invertMatch;
  };
}

type Specifier = Exclude<
  HeaderMatcher["headerMatchSpecifier"],
  { case: undefined } | { case: "presentMatch" }
>;

function valueTest(by: Specifier): TextTest {
  switch (by.case) {
    case "stringMatch":
      return within("string_match", () => compileStringMatcher(by.value));
    case "safeRegexMatch":
      return within("safe_regex_match", () => compileRegexMatcher(by.value));
    case "rangeMatch":
      return rangeTest(by.value.start, by.value.end);
    case "exactMatch":
      // An empty one asks for the header only, as before there were others.
      return by.value === "" ? () => true : textTest("exact", by.value);
    case "prefixMatch":
      return literalTest("prefix", by.value);
    case "suffixMatch":
      return literalTest("suffix", by.value);
    case "containsMatch":
      return literalTest("contains", by.value);
  }
}

function literalTest(kind: "prefix" | "suffix" | "contains", value: string): TextTest {
  if (value === "") refuse(`${kind}_match`, "value length must be at least 1 characters");
  return textTest(kind, value);
}

const integer = /^[ \t\n\v\f\r]*([+-]?\d{1,19})[ \t\n\v\f\r]*$/;

/** From start up to, not including, end. */
function rangeTest(start: bigint, end: bigint): TextTest {
  return (text) => {
    const digits = integer.exec(text)?.[1];
    if (digits === undefined) return false;
    const value = BigInt(digits.replace("+", ""));
    return value === BigInt.asIntN(64, value) && value >= start && value < end;
  };
}

/** All values of a header behind each other, as Envoy matches them. */
export function joinedValue(headers: HeaderMap, name: string): string | undefined {
  const real = name === "host" && headers.get(":authority") !== undefined ? ":authority" : name;
  let joined: string | undefined;
  for (const line of headers.lines)
    if (line[0] === real) joined = joined === undefined ? line[1] : `${joined},${line[1]}`;
  return joined;
}
