import type { HeaderMatcher } from "../gen/envoy/config/route/v3/route_components_pb.ts";
import type { HeaderMap } from "../proxy-wasm/header-map.ts";
import { refuse, within } from "./refused-config.ts";
import { compileRegexMatcher, compileStringMatcher, type TextTest, textTest } from "./string-match.ts";

/** Whether headers are meant. */
export type HeaderTest = (headers: HeaderMap) => boolean;

/**
 * Compiles Envoy's HeaderMatcher. Of several lines one has to match, and inverted none may (as of 1.40; before, they were
 * joined). A header that is not there matches nothing, not even inverted.
 */
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
    const passes = anyValue(headers, name, test) ?? (treatMissingHeaderAsEmpty ? test("") : undefined);
    return passes !== undefined && passes !== invertMatch;
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

/** Whether a value of the name passes; undefined where the name has none. */
function anyValue(headers: HeaderMap, name: string, test: TextTest): boolean | undefined {
  const real = name === "host" && headers.get(":authority") !== undefined ? ":authority" : name;
  let passes: boolean | undefined;
  for (const [key, value] of headers.lines) if (key === real) passes = passes || test(value);
  return passes;
}
