import { Facts } from "./facts";
import { jsonTextAt } from "./json/read";
import { Operate, Operation, Strategy } from "./operation";
import { Table } from "./table";

/** Carries out operations on headers, a query or a form, one after the other. */
export function changeTable(table: Table, operations: Operation[], facts: Facts): void {
  for (let i = 0; i < operations.length; i++) changeOne(table, operations[i], facts);
}

function changeOne(table: Table, operation: Operation, facts: Facts): void {
  const key = operation.key;
  switch (operation.operate) {
    case Operate.Remove:
      table.remove(key);
      return;
    case Operate.Rename:
      rename(table, key, operation.newKey);
      return;
    case Operate.Replace:
      table.set(key, [operation.text(facts)]);
      return;
    case Operate.Add:
      if (!table.has(key)) table.set(key, [operation.text(facts)]);
      return;
    case Operate.Append:
      table.add(key, operation.text(facts));
      return;
    case Operate.Map:
      map(table, operation, facts);
      return;
    case Operate.Dedupe:
      if (table.has(key)) table.set(key, keepSome(table.get(key), operation.strategy));
  }
}

function rename(table: Table, oldKey: string, newKey: string): void {
  if (!table.has(oldKey)) return;
  const values = table.get(oldKey);
  table.set(newKey, table.get(newKey).concat(values));
  table.remove(oldKey);
}

function map(table: Table, operation: Operation, facts: Facts): void {
  const source = facts.table(operation.source);
  if (source !== null) {
    if (source.has(operation.key)) table.set(operation.newKey, source.get(operation.key).slice());
    return;
  }
  const json = facts.json;
  const path = operation.path;
  const text = json === null || path === null ? "" : jsonTextAt(json, path);
  if (text != "") table.set(operation.newKey, [text]);
}

function keepSome(values: string[], strategy: Strategy): string[] {
  if (values.length == 0) return values;
  if (strategy == Strategy.Unique) return values.filter((value, i, all) => all.indexOf(value) == i);
  const isSplit = strategy == Strategy.FirstOfSplit || strategy == Strategy.LastOfSplit;
  const candidates = isSplit ? values[0].split(",") : values;
  const isLast = strategy == Strategy.Last || strategy == Strategy.LastOfSplit;
  return [candidates[isLast ? candidates.length - 1 : 0]];
}
