import { getSharedData, setSharedData } from "../shared-data";

/** Rules of a plugin that could be read, by the hash of their conditions. */
export class KnownRules {
  readonly hashes: u64[] = [];
  /** The configurations that they stand in, and where: thousands of texts of their own would be the collector's work. */
  private sources: ArrayBuffer[] = [];
  private starts: i32[] = [];
  private ends: i32[] = [];

  /** A rule of which only other VMs have the text is one without a range. */
  add(hash: u64, source: ArrayBuffer, start: i32, end: i32): void {
    this.hashes.push(hash);
    this.sources.push(source);
    this.starts.push(start);
    this.ends.push(end);
  }

  /** The text of the first rule with these conditions; null when there is none. */
  find(hash: u64): ArrayBuffer | null {
    const at = this.hashes.indexOf(hash);
    if (at < 0 || this.ends[at] == 0) return null;
    return this.sources[at].slice(this.starts[at], this.ends[at]);
  }
}

class Owned {
  constructor(
    readonly owner: u32,
    readonly rules: KnownRules,
  ) {}
}

/** By plugin, for as long as it has a context in this VM: a new configuration gets a new context beside the old one. */
const knownRules = new Map<string, Owned>();

/** The text of a rule with these conditions that this VM could read before; null when there is none. */
export function findRuleText(plugin: string, hash: u64): ArrayBuffer | null {
  return knownRules.has(plugin) ? knownRules.get(plugin).rules.find(hash) : null;
}

/**
 * Notes the rules of a configuration that begins. Proxies try a configuration in a VM that knows nothing before those that
 * serve get it, so the hashes are shared. The texts are not: there are secrets in them, and other plugins may look.
 */
export function keepRules(plugin: string, owner: u32, rules: KnownRules): void {
  knownRules.set(plugin, new Owned(owner, rules));
  const hashes = rules.hashes;
  const bytes = new ArrayBuffer(hashes.length << 3);
  for (let i = 0; i < hashes.length; i++) store<u64>(changetype<usize>(bytes) + (i << 3), hashes[i]);
  setSharedData(sharedKey(plugin), bytes);
}

/** Forgets the rules of a context that ends, unless a later one has its own. */
export function forgetRules(plugin: string, owner: u32): void {
  if (knownRules.has(plugin) && knownRules.get(plugin).owner == owner) knownRules.delete(plugin);
}

/** Whether some VM could read a rule with these conditions before. */
export function isKnownElsewhere(plugin: string, hash: u64): bool {
  const shared = getSharedData(sharedKey(plugin));
  if (shared === null) return false;
  const start = changetype<usize>(shared.bytes);
  const count = shared.bytes.byteLength >> 3;
  for (let i = 0; i < count; i++) {
    if (load<u64>(start + (i << 3)) == hash) return true;
  }
  return false;
}

function sharedKey(plugin: string): string {
  return "wasmline.rules:" + plugin;
}
