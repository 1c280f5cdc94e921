import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { RE2JS } from "re2js";
import { fc, fuzzRuns } from "../../test/peers/properties.ts";
import { Host, loadModule } from "./host.ts";
import { compileModule } from "./modules.ts";

// The peer is re2js, a port of Go's regexp to JavaScript.

type Case = readonly [pattern: string, text: string, template: string];

interface Outcome {
  readonly error?: string;
  readonly slots?: number[] | null;
  readonly replaced?: string | null;
}

const names = ["n", "first"];
const atoms = [
  "a",
  "b",
  "é",
  "K",
  "1",
  "_",
  " ",
  ".",
  "^",
  "$",
  "\\b",
  "\\B",
  "\\A",
  "\\z",
  "\\d",
  "\\W",
  "\\s",
].concat([
  "[ab]",
  "[^a\\d]",
  "[a-c1-]",
  "[[:alpha:]]",
  "[[:^word:]_]",
  "\\x41",
  "\\x{e9}",
  "\\Qa.\\E",
  "\\n",
  "\\.",
  "\\101",
  "[]a]",
]);
const times = ["*", "+", "?", "*?", "+?", "??", "{2}", "{0}", "{1,2}", "{0,2}?", "{2,}", "{,2}"];
const pattern = fc.letrec<{ node: string }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 4, depthSize: "small" },
    { weight: 4, arbitrary: fc.constantFrom(...atoms) },
    { weight: 3, arbitrary: fc.tuple(tie("node"), tie("node")).map((parts) => parts.join("")) },
    { weight: 2, arbitrary: fc.tuple(tie("node"), tie("node")).map((parts) => `(?:${parts.join("|")})`) },
    { weight: 2, arbitrary: tie("node").map((node) => `(${node})`) },
    { weight: 1, arbitrary: tie("node").map((node) => `(|${node})`) },
    {
      weight: 2,
      arbitrary: fc
        .tuple(tie("node"), fc.constantFrom(...times))
        .map(([node, count]) => `(?:${node})${count}`),
    },
    {
      weight: 1,
      arbitrary: fc.tuple(tie("node"), fc.constantFrom(...times)).map(([node, count]) => `${node}${count}`),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(fc.constantFrom("i", "m", "s", "U", "i-s", "-i"), tie("node"))
        .map(([flags, node]) => `(?${flags}:${node})`),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(fc.constantFrom(...names), tie("node"))
        .map(([name, node]) => `(?P<${name}>${node})`),
    },
  ),
})).node;
const broken = fc
  .string({ unit: fc.constantFrom(..."ab()[]{}*+?|\\^$.-:,12<>P=iE!é"), maxLength: 12 })
  .filter((each) => !/\\p/i.test(each));
const text = fc.string({ unit: fc.constantFrom(..."aabbAKk1_ .\né😀\u212a\u017fsS"), maxLength: 10 });
const dollar = "$";
const places = ["$1", `${dollar}{1}`, "$n", `${dollar}{n}x`, "$1x", "$$", "$", "-", `${dollar}{`, "$0", "$9"];
const template = fc
  .array(fc.constantFrom(...places, `${dollar}{first}`), { maxLength: 4 })
  .map((parts) => parts.join(""));

describe("regular expressions", () => {
  let host: Host;
  before(async () => {
    host = new Host(
      await loadModule(await compileModule("sdk/fixture/regex.ts", "build/test/regex-fixture.wasm")),
    );
  });

  function run(cases: readonly Case[]): Outcome[] {
    host.start({ cases });
    return search(cases.length);
  }

  /** Searches anew in what the plugin was started with. */
  function search(count: number): Outcome[] {
    host.logs.length = 0;
    host.request([]).end();
    assert.equal(host.logs.length, count);
    return host.logs.map((line) => JSON.parse(line) as Outcome);
  }

  const runOne = (...one: Case) => run([one])[0]!;

  /** Each case comes to what re2js makes of it; errors are in other words. */
  function checkAll(list: readonly Case[]): void {
    run(list).forEach((outcome, i) => {
      const actual = { ...outcome, error: outcome.error && "refused" };
      assert.deepEqual(actual, expected(list[i]!), JSON.stringify(list[i]));
    });
  }

  it("finds and replaces what RE2 does", () => {
    const cases = fc.array(fc.tuple(pattern, text, template), { minLength: 40, maxLength: 40 });
    fc.assert(fc.property(cases, checkAll), { numRuns: fuzzRuns(50) });
  });

  it("refuses what RE2 refuses", () => {
    const cases = fc.array(fc.tuple(broken, fc.constant("ab12"), fc.constant("")), {
      minLength: 40,
      maxLength: 40,
    });
    fc.assert(fc.property(cases, checkAll), { numRuns: fuzzRuns(50) });
  });

  it("says what is wrong and where", () => {
    const wrong: Record<string, string> = {
      "ab(c": "character 3: ')' is missing at the end of this group",
      "a)": "character 2: ')' without '('",
      "x[a-": "character 2: ']' is missing at the end of this class",
      "[b-a]": "character 2: the end of this range is before its beginning",
      "[[:alfa:]]": "character 2: unknown class [:alfa:]",
      "a|*": "character 3: nothing to repeat before this",
      "a**": "character 3: a repetition is repeated: put it into (?:…)",
      "a{1001}": "character 2: repeated more than 1000 times",
      "a{3,2}": "character 2: the most is less than the least number of times",
      "(a)\\1": "character 4: references back to a group are not in RE2's syntax",
      "\\y": "character 1: unknown escape \\y",
      "a\\": "character 2: a backslash at the end: write \\\\ for a backslash itself",
      "(?=a)": "character 1: unknown group: expected (?:…), (?P<name>…) or flags among i, m, s and U",
      "(?P<a-b>c)": "character 1: a group's name is expected to be letters, digits and '_' up to '>'",
      "(?P<a>b)(?P<a>c)": "character 9: there is another group a",
      "\\pL": "character 1: classes of Unicode (\\p) are not supported: write the ranges",
      [`${"(".repeat(101)}${")".repeat(101)}`]: "character 101: groups are nested deeper than 100 levels",
      ["a".repeat(4097)]: "longer than 4096 characters",
      [`${"()".repeat(500)}`]: "too large: use fewer counted repetitions or groups",
    };
    for (const [pattern, error] of Object.entries(wrong)) assert.equal(runOne(pattern, "", "").error, error);
  });

  it("takes time in proportion to the text where a search by trial would never end", () => {
    const text = "a".repeat(5000);
    assert.equal(runOne("(a*)*b", text, "").replaced, null);
    assert.deepEqual(runOne("(?:a?){500}a{500}", text.slice(0, 500), "").slots, [0, 500]);
    assert.equal(runOne("^(.*?,){11}P", text, "").slots, null);
  });

  it("keeps memory at its size over many searches", () => {
    const list: Case[] = Array.from({ length: 100 }, () => ["(a|b)+c?", "abab".repeat(10), "[$1]"]);
    run(list);
    for (let i = 0; i < 10; i++) search(list.length);
    const size = host.memoryBytes;
    for (let i = 0; i < 20; i++) search(list.length);
    assert.equal(host.memoryBytes, size);
  });
});

/** What re2js makes of a case. */
function expected([pattern, text, template]: Case): Outcome {
  let regex: RE2JS;
  try {
    regex = RE2JS.compile(pattern);
  } catch {
    return { error: "refused" };
  }
  const slots = findAt(regex, text, 0);
  return { error: undefined, slots, replaced: slots && replaceAll(regex, text, template) };
}

function findAt(regex: RE2JS, text: string, from: number): number[] | null {
  const matcher = regex.matcher(text);
  if (!matcher.find(from)) return null;
  return Array.from({ length: matcher.groupCount() + 1 }, (_, group) => [
    matcher.start(group),
    matcher.end(group),
  ]).flat();
}

/** Go's ReplaceAll: an empty match right behind another match is not replaced. */
function replaceAll(regex: RE2JS, text: string, template: string): string {
  let result = "";
  let kept = 0;
  for (let from = 0; from <= text.length; ) {
    const slots = findAt(regex, text, from);
    if (!slots) break;
    const [begin, end] = slots as [number, number];
    result += text.slice(kept, begin);
    if (end > kept || begin === 0) result += expand(regex, text, slots, template);
    kept = end;
    from = end > from ? end : from + ((text.codePointAt(from) ?? 0) > 0xffff ? 2 : 1);
  }
  return result + text.slice(kept);
}

function expand(regex: RE2JS, text: string, slots: number[], template: string): string {
  return template.replace(/\$(?:\$|\{(\w+)\}|(\w+))/g, (_all, braced?: string, bare?: string) => {
    const name = braced ?? bare;
    if (name === undefined) return "$";
    const group = /^(0|[1-9]\d*)$/.test(name) ? Number(name) : regex.namedGroups()[name];
    if (group === undefined || 2 * group >= slots.length || slots[2 * group]! < 0) return "";
    return text.slice(slots[2 * group], slots[2 * group + 1]);
  });
}
