import assert from "node:assert/strict";
import { test } from "node:test";
import { fc } from "../../test/peers/properties.ts";
import { chooseRemovals, type UsedModule } from "./purge-policy.ts";

const modulesOf = (...sizes: readonly number[]): readonly UsedModule[] =>
  sizes.map((size, index) => ({ path: "", digest: String(index), size, lastUsed: index + 1 }));

function choose(modules: readonly UsedModule[], maxBytes: number, { kept = "", oldest = 0 } = {}): string {
  const isKept = ({ digest }: UsedModule) => kept.includes(digest);
  return chooseRemovals(modules, { isKept, oldest, maxBytes })
    .map(({ digest }) => digest)
    .join("");
}

test("above the size the least recently used go, and no more than must", () => {
  const modules = [...modulesOf(10, 10, 10, 10)].reverse();
  assert.equal(choose(modules, 40), "");
  assert.equal(choose(modules, 39), "0");
  assert.equal(choose(modules, 20), "01");
  assert.equal(choose(modules, 0), "0123");
});

test("what is too old goes, whatever the size, and counts towards it", () => {
  assert.equal(choose(modulesOf(10, 10, 10, 10), 100, { oldest: 2 }), "01");
  assert.equal(choose(modulesOf(10, 10, 10, 10), 20, { oldest: 2 }), "01");
  assert.equal(choose(modulesOf(10, 10, 10, 10), 10, { oldest: 2 }), "012");
});

test("what is in effect stays, old and too large as it may be", () => {
  assert.equal(choose(modulesOf(10, 10, 10, 10), 20, { kept: "0", oldest: 3 }), "12");
  assert.equal(choose(modulesOf(90, 10, 10, 10), 20, { kept: "0" }), "123");
  assert.equal(choose(modulesOf(90, 10), 0, { kept: "01", oldest: 9 }), "");
});

test("whatever there is: what is left is in effect, or fits; what went had to, and was used before all others", () => {
  const modules = fc.array(fc.record({ size: fc.nat(20), lastUsed: fc.nat(9), isKept: fc.boolean() }));
  fc.assert(
    fc.property(modules, fc.nat(60), fc.nat(9), (given, maxBytes, oldest) => {
      const all = given.map((module, index) => ({ ...module, path: "", digest: String(index) }));
      const isKept = ({ digest }: UsedModule) => all[Number(digest)]!.isKept;
      const removed = new Set<unknown>(chooseRemovals(all, { isKept, oldest, maxBytes }));
      const left = all.filter((module) => !removed.has(module));
      const size = left.reduce((sum, module) => sum + module.size, 0);
      const free = left.filter((module) => !module.isKept);
      assert(size <= maxBytes || free.length === 0);
      assert(free.every(({ lastUsed }) => lastUsed > oldest));
      const newest = all.filter((module) => removed.has(module) && module.lastUsed > oldest);
      const last = newest.reduce((found, each) => (each.lastUsed >= found.lastUsed ? each : found), {
        ...{ size: 0, lastUsed: -1 },
      });
      assert(free.every(({ lastUsed }) => lastUsed >= last.lastUsed));
      assert(last.lastUsed < 0 || size + last.size > maxBytes);
    }),
  );
});
