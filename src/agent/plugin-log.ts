import { LRUCache } from "lru-cache";
import type { EnvoyLogLine } from "./envoy-log.ts";

/** What is known of plugins that failed: an Envoy's log says it, another gateway may tell. */
export interface PluginLog {
  /** Reads a line of Envoy's log. */
  take(line: EnvoyLogLine): void;
  /** Notes that a plugin has trapped while it was serving. */
  noteTrap(plugin: string, reason: string): void;
  /** Gives why Envoy could not load a plugin the last time, in the plugin's own words; "" where it did not say. */
  loadFailure(plugin: string): string;
  /** Gives the last trap of a plugin that was serving, by the name of its ECDS resource. */
  lastTrap(resource: string): Trap | undefined;
  /** Calls back with each plugin that traps from now on, until the signal aborts. */
  onTrap(listener: (plugin: string, trap: Trap) => void, signal: AbortSignal): void;
}

/** What Envoy's log calls the plugin of an ECDS resource: newer istiods put a path before it. */
export function pluginOfResource(resource: string): string {
  return resource.slice(resource.lastIndexOf("/") + 1);
}

/** A plugin has failed while it was serving: its VM is gone. */
export interface Trap {
  /** In ISO 8601. */
  readonly at: string;
  readonly reason: string;
}

const keptLines = 3;
const maxLineLength = 500;
const maxPlugins = 1000;
const maxThreads = 1000;

/**
 * Reads from Envoy's log why plugins fail: its xDS answer says only that one could not be created. A plugin is loaded on
 * one thread from beginning to end; what it logs then has no name yet, and `Plugin NAME failed to load` follows. A trap
 * in one that serves has no name either: it is the plugin's whose error is the line before on the same thread, as SDKs
 * write one when they abort or panic. A trap without such a line is nobody's.
 */
export function createPluginLog(): PluginLog {
  /** By thread, what plugins without a name complained about since the last one that failed. */
  const unnamed = new LRUCache<string, string[]>({ max: maxThreads });
  /** By thread, the line before, where it is a loaded plugin's error. */
  const named = new LRUCache<string, { plugin: string; text: string }>({ max: maxThreads });
  const loadFailures = new LRUCache<string, string>({ max: maxPlugins });
  const traps = new LRUCache<string, Trap>({ max: maxPlugins });
  const listeners = new Set<(plugin: string, trap: Trap) => void>();

  function noteTrap(plugin: string, reason: string): void {
    const trap = { at: new Date().toISOString(), reason };
    traps.set(plugin, trap);
    for (const listener of listeners) listener(plugin, trap);
  }

  function noteFailedCall(thread: string, message: string): void {
    const before = named.get(thread);
    if (before) noteTrap(before.plugin, `${readable(message)}; ${before.text}`);
  }

  function noteUnnamed(thread: string, message: string): void {
    const failed = /^Plugin (\S+) failed to load/.exec(message)?.[1];
    if (failed !== undefined) {
      loadFailures.set(failed, describe(unnamed.get(thread) ?? []));
      unnamed.delete(thread);
    } else if (!message.startsWith("Plugin configured to fail ")) {
      unnamed.set(thread, [...(unnamed.get(thread) ?? []), readable(message)].slice(-keptLines - 1));
    }
  }

  return {
    take({ level, thread, component, message }) {
      if (component !== "wasm") return;
      if (message.startsWith("Function: ")) noteFailedCall(thread, message);
      const [, plugin, text] = /^wasm log ([^\s:]+)[^:]*: (.*)$/s.exec(message) ?? [];
      if (plugin !== undefined && text !== undefined && level === "error")
        named.set(thread, { plugin, text: readable(text) });
      else named.delete(thread);
      if (plugin === undefined && (level === "warn" || level === "error")) noteUnnamed(thread, message);
    },
    noteTrap,
    loadFailure: (plugin) => loadFailures.get(plugin) ?? "",
    lastTrap: (resource) => traps.get(pluginOfResource(resource)),
    onTrap(listener, signal) {
      if (signal.aborted) return;
      listeners.add(listener);
      signal.addEventListener("abort", () => listeners.delete(listener), { once: true });
    },
  };
}

/** That the VM failed says nothing new after what the plugin said. */
function describe(lines: readonly string[]): string {
  const own = lines.filter((line) => !line.startsWith("Wasm VM failed"));
  return (own.length > 0 ? own : lines).slice(-keptLines).join("; ");
}

/** One line without control characters, of bounded length. */
function readable(message: string): string {
  const text = message
    .replace(/^wasm log: /, "")
    .replace(/\\n|\p{Cc}/gu, " ")
    .trim();
  return text.length > maxLineLength ? `${text.slice(0, maxLineLength)}…` : text;
}
