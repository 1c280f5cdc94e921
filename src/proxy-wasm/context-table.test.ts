import assert from "node:assert/strict";
import { test } from "node:test";
import type { Context } from "./context.ts";
import { ContextTable } from "./context-table.ts";

/** As a context's constructor does it. */
function add(table: ContextTable): Context {
  const context = { id: 0 };
  context.id = table.add(context as Context);
  return context as Context;
}

test("ids count up from 1, and one is passed over where an older context has the place", () => {
  const table = new ContextTable();
  const root = add(table);
  assert.equal(root.id, 1);
  const ids = new Set<number>();
  for (let i = 0; i < 1000; i++) {
    const context = add(table);
    assert.equal(table.find(context.id), context);
    ids.add(context.id);
    table.delete(context);
    assert.equal(table.find(context.id), undefined);
  }
  assert.equal(ids.size, 1000);
  assert.equal(table.find(root.id), root);
  assert.ok(!ids.has(65));
});

test("it grows with what is in it", () => {
  const table = new ContextTable();
  const all = Array.from({ length: 5000 }, () => add(table));
  for (const context of all) assert.equal(table.find(context.id), context);
  for (const context of all.slice(1, -1)) table.delete(context);
  assert.deepEqual(table.takeAll(), [all[0], all.at(-1)]);
  assert.deepEqual(table.takeAll(), []);
});

test("a context that is not in it any more is not deleted in another's place", () => {
  const table = new ContextTable();
  const first = add(table);
  table.delete(first);
  const others = Array.from({ length: 31 }, () => add(table));
  while (others.at(-1)!.id < first.id + 64) {
    table.delete(others.pop()!);
    others.push(add(table));
  }
  table.delete(first);
  for (const context of others) assert.equal(table.find(context.id), context);
});
