import { EVENT_ID, type Event, getScalarValue, parseEvents, SCALAR_STYLE } from "js-yaml";
import type { FieldPath } from "./diagnostic.ts";
import type { Origin } from "./types.ts";
import { maxDepth } from "./yaml.ts";

/** A place in a file, both from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

interface Node {
  /** Offset of the first character; -1 for a value that is left empty. */
  readonly start: number;
  readonly entries?: readonly { readonly key: Node; readonly name: string; readonly value: Node }[];
  readonly items?: readonly Node[];
}

/**
 * The place of the field that `path` names: of its value, or with `what` "key" of its key. Where the field does not exist,
 * the place of its nearest parent that does.
 */
export function locate(origin: Origin, path: FieldPath, what: "value" | "key" = "value"): Position {
  const root = treeOf(origin.text);
  const offset = root ? offsetOf(root, [...(origin.path ?? []), ...path], what) : 0;
  return positionAt(origin, offset);
}

function offsetOf(root: Node, path: FieldPath, what: "value" | "key"): number {
  let node = root;
  let key: Node | undefined;
  for (const part of path) {
    const next = childOf(node, part);
    if (!next) return (key ?? node).start;
    key = next.key;
    node = next.value;
  }
  return what === "value" && node.start >= 0 ? node.start : (key ?? node).start;
}

function childOf(node: Node, part: string | number): { key?: Node; value: Node } | undefined {
  if (typeof part === "number") {
    const value = node.items?.[part];
    return value && { value };
  }
  const own = node.entries?.findLast(({ name }) => name === part);
  if (own) return own;
  for (const { name, value } of node.entries ?? []) {
    if (name !== "<<") continue;
    for (const source of value.items ?? [value]) {
      const merged = childOf(source, part);
      if (merged) return merged;
    }
  }
  return undefined;
}

function positionAt({ text, line }: Origin, offset: number): Position {
  const before = text.slice(0, Math.max(offset, 0));
  const lineStart = before.lastIndexOf("\n") + 1;
  let lines = 0;
  for (let at = before.indexOf("\n"); at >= 0; at = before.indexOf("\n", at + 1)) lines++;
  return { line: line + lines, column: before.length - lineStart + 1 };
}

// Diagnostics of one document come one after the other, and a tree is many times as large as its text: one is kept.
let latest: { text: string; root: Node | undefined } | undefined;

function treeOf(text: string): Node | undefined {
  if (latest?.text !== text) latest = { text, root: buildTree(text) };
  return latest.root;
}

function buildTree(text: string): Node | undefined {
  try {
    const events = parseEvents(text, { maxDepth });
    return createTreeReader(text, events)();
  } catch {
    return undefined;
  }
}

// Unlike the tree that `yaml` builds, these positions come from the parser that read the values, at a tenth of the time.
function createTreeReader(text: string, events: readonly Event[]): () => Node | undefined {
  const anchors = new Map<string, Node>();
  let next = 0;

  function readNode(): Node | undefined {
    const event = events[next++];
    if (!event || event.type === EVENT_ID.POP) return undefined;
    if (event.type === EVENT_ID.DOCUMENT) return readNode();
    if (event.type === EVENT_ID.ALIAS) {
      const target = anchors.get(text.slice(event.anchorStart, event.anchorEnd));
      return { ...target, start: event.anchorStart - 1 };
    }
    const node = readContent(event);
    if (event.anchorStart >= 0) anchors.set(text.slice(event.anchorStart, event.anchorEnd), node);
    return node;
  }

  function readContent(event: Exclude<Event, { type: 1 | 5 | 6 }>): Node {
    if (event.type === EVENT_ID.SEQUENCE) return { start: event.start, items: readItems() };
    if (event.type === EVENT_ID.MAPPING) return { start: event.start, entries: readEntries() };
    const quoted = event.style === SCALAR_STYLE.SINGLE_QUOTED || event.style === SCALAR_STYLE.DOUBLE_QUOTED;
    return { start: event.valueStart < 0 ? -1 : event.valueStart - (quoted ? 1 : 0) };
  }

  function readItems(): Node[] {
    const items: Node[] = [];
    for (let item = readNode(); item; item = readNode()) items.push(item);
    return items;
  }

  function readEntries() {
    const entries: { key: Node; name: string; value: Node }[] = [];
    for (;;) {
      const name = nameOf(text, events[next]);
      const key = readNode();
      if (!key) return entries;
      entries.push({ key, name, value: readNode() ?? key });
    }
  }

  return readNode;
}

function nameOf(text: string, event: Event | undefined): string {
  return event?.type === EVENT_ID.SCALAR ? getScalarValue(text, event) : "";
}
