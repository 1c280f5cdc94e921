import { bytesOf, JsonValue, textOf } from "@wasmline/plugin-sdk/assembly";
import { collectIfDue } from "@wasmline/plugin-sdk/assembly/memory";
import { Facts } from "./facts";
import { JsonText } from "./json/edit";
import { marshalTexts, marshalValue, quoteGo, setValueText } from "./json/go-json";
import { JsonPath } from "./json/path";
import { parseValue } from "./json/read";
import { Operate, Operation, Strategy } from "./operation";

/** What runs, for the collector: the body that it works on is held by nobody else. */
let running: JsonChange | null = null;

/** Carries out operations on a JSON body, and stops at the first that cannot be. */
export class JsonChange {
  private text: JsonText;

  constructor(
    json: ArrayBuffer,
    private facts: Facts,
    /** Whether integers beyond what a double holds keep their digits where a value is moved. */
    private keepsIntegers: bool,
  ) {
    this.text = new JsonText(json);
  }

  get json(): ArrayBuffer {
    return this.text.bytes;
  }

  /** Why the operations cannot be carried out; "" when they were. */
  run(operations: Operation[]): string {
    running = this;
    const error = this.changeAll(operations);
    running = null;
    return error;
  }

  private changeAll(operations: Operation[]): string {
    for (let i = 0; i < operations.length; i++) {
      // Each operation may write a large body anew. The stream holds the message, and the configuration the rules.
      collectIfDue();
      const operation = operations[i];
      if (!this.change(operation)) return `body[${operation.key}] cannot be changed as it is asked for`;
    }
    return "";
  }

  private change(operation: Operation): bool {
    const path = operation.path;
    if (operation.operate == Operate.Map) return this.map(operation, path, operation.newPath);
    if (path === null) return false;
    switch (operation.operate) {
      case Operate.Remove:
        this.text.remove(path);
        return true;
      case Operate.Rename:
        return this.rename(path, operation.newPath);
      case Operate.Replace:
        return this.setTo(path, this.valueOf(operation));
      case Operate.Add:
        return this.text.find(path) !== null || this.setTo(path, this.valueOf(operation));
      case Operate.Append:
        return this.append(path, this.valueOf(operation));
      default:
        return this.dedupe(path, operation.strategy);
    }
  }

  private setTo(path: JsonPath, value: ArrayBuffer | null): bool {
    return value !== null && this.text.set(path, value);
  }

  private valueOf(operation: Operation): ArrayBuffer | null {
    return operation.isText ? bytesOf(quoteGo(operation.text(this.facts))) : operation.json;
  }

  private rename(path: JsonPath, newPath: JsonPath | null): bool {
    const value = this.text.find(path);
    if (value === null) return true;
    if (newPath === null || !this.text.set(newPath, this.moved(value))) return false;
    this.text.remove(path);
    return true;
  }

  private append(path: JsonPath, value: ArrayBuffer | null): bool {
    if (value === null) return false;
    const found = this.text.find(path);
    if (found === null) return this.text.set(path, value);
    const items = this.items(found);
    items.push(this.written(value));
    return this.setText(path, "[" + items.join(",") + "]");
  }

  /** The elements of an array as Go writes them; the value itself when it is none. */
  private items(json: ArrayBuffer): string[] {
    const value = parseValue(json);
    return value !== null && value.isArray ? this.texts(value.list()) : [this.written(json)];
  }

  /** A value inside an array, as Go writes it. */
  private written(json: ArrayBuffer): string {
    const value = parseValue(json);
    return value === null ? textOf(json) : marshalValue(value, this.keepsIntegers);
  }

  private texts(values: JsonValue[]): string[] {
    const texts: string[] = [];
    for (let i = 0; i < values.length; i++) texts.push(marshalValue(values[i], this.keepsIntegers));
    return texts;
  }

  private map(operation: Operation, path: JsonPath | null, newPath: JsonPath | null): bool {
    if (newPath === null) return false;
    const table = this.facts.table(operation.source);
    if (table !== null) {
      if (!table.has(operation.key)) return true;
      return this.setText(newPath, marshalTexts(table.get(operation.key)));
    }
    const json = this.facts.json;
    if (json === null || path === null) return true;
    const found = new JsonText(json).find(path);
    return found === null || this.text.set(newPath, this.moved(found));
  }

  private dedupe(path: JsonPath, strategy: Strategy): bool {
    const found = this.text.find(path);
    if (found === null) return true;
    const value = parseValue(found);
    if (value === null || !value.isArray || value.list().length == 0) return true;
    const kept = keepSome(value.list(), strategy);
    if (kept.length > 1) return this.setText(path, "[" + this.texts(kept).join(",") + "]");
    return kept[0].raw() == "null" || this.setText(path, setValueText(kept[0], this.keepsIntegers));
  }

  /** A value as it stands at its new place. */
  private moved(json: ArrayBuffer): ArrayBuffer {
    const value = parseValue(json);
    return value === null ? json : bytesOf(setValueText(value, this.keepsIntegers));
  }

  private setText(path: JsonPath, json: string): bool {
    return this.text.set(path, bytesOf(json));
  }
}

/** Of the elements that count as equal when their texts are; a part of a text is never taken. */
function keepSome(values: JsonValue[], strategy: Strategy): JsonValue[] {
  if (strategy == Strategy.Last) return [values[values.length - 1]];
  if (strategy != Strategy.Unique) return [values[0]];
  const seen = new Map<string, bool>();
  const kept: JsonValue[] = [];
  for (let i = 0; i < values.length; i++) {
    const text = values[i].text();
    if (seen.has(text)) continue;
    seen.set(text, true);
    kept.push(values[i]);
  }
  return kept;
}
