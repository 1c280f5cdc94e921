import { writeFile } from "node:fs/promises";
import { join } from "node:path";

/** What a change does to the chain. */
export const changeKinds = ["add", "remove", "reorder", "move", "edit"] as const;
export type ChangeKind = (typeof changeKinds)[number];

/** A plugin that appends its name and its configuration to the trail of each request. */
interface TrailPlugin {
  readonly name: string;
  readonly phase: "AUTHN" | "AUTHZ" | "STATS" | "UNSPECIFIED_PHASE";
  readonly priority: number;
  readonly edit: number;
}

/** One change, saved already. */
export interface ChainChange {
  readonly kind: ChangeKind;
  /** When writing began, by `performance.now()`. */
  readonly savedAt: number;
  /** The trail of a request, without the change and with it. */
  readonly before: string;
  readonly after: string;
}

const phases = ["AUTHN", "AUTHZ", "STATS", "UNSPECIFIED_PHASE"] as const;

/** Changes the plugins in a directory at random, the same way for the same seed; of plugins there are about `size`. */
export function createRandomChain(dir: string, seed: number, size = 4) {
  const random = createRandom(seed);
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
  const plugins = new Map<string, TrailPlugin>();
  let counter = 0;

  function possibleKinds(): readonly ChangeKind[] {
    if (plugins.size <= size / 2) return ["add"];
    return plugins.size < size * 2 ? changeKinds : changeKinds.filter((kind) => kind !== "add");
  }

  /** A plugin as it is after a change, undefined where it is gone. */
  function changed(kind: ChangeKind, plugin: TrailPlugin): TrailPlugin | undefined {
    const priority = Math.floor(random() * 1000);
    switch (kind) {
      case "remove":
        return undefined;
      case "reorder":
        return { ...plugin, priority };
      case "move":
        return { ...plugin, phase: pick(phases.filter((phase) => phase !== plugin.phase)) };
      default:
        return { ...plugin, edit: counter };
    }
  }

  function create(): TrailPlugin {
    return { name: `p${counter}`, phase: pick(phases), priority: Math.floor(random() * 1000), edit: 0 };
  }

  /** Makes a change that can be seen from outside, of a kind that is given or any. */
  async function next(wanted?: ChangeKind): Promise<ChainChange> {
    const before = trailOf(plugins.values());
    for (;;) {
      counter++;
      const kind = wanted ?? pick(possibleKinds());
      const old = kind === "add" ? create() : pick([...plugins.values()]);
      const plugin = kind === "add" ? old : changed(kind, old);
      if (plugin) plugins.set(old.name, plugin);
      else plugins.delete(old.name);
      const after = trailOf(plugins.values());
      const savedAt = performance.now();
      await save(dir, plugins.values());
      if (after !== before) return { kind, savedAt, before, after };
    }
  }
  return { next, count: () => plugins.size };
}

/** What is in `x-trail` after all plugins: their order is that of the chain. */
function trailOf(plugins: Iterable<TrailPlugin>): string {
  const ordered = [...plugins].sort(
    (a, b) =>
      phases.indexOf(a.phase) - phases.indexOf(b.phase) ||
      b.priority - a.priority ||
      (a.name < b.name ? -1 : 1),
  );
  return ordered.map(({ name, edit }) => `${name}-${edit}`).join(", ");
}

/** Writes all plugins into one file: a file that is removed is taken for one that an editor writes anew, for 100 ms. */
function save(dir: string, plugins: Iterable<TrailPlugin>): Promise<void> {
  const documents = [...plugins].map((plugin) => `---\n${JSON.stringify(resourceOf(plugin))}\n`);
  return writeFile(join(dir, "trail.yaml"), documents.join(""));
}

function resourceOf({ name, phase, priority, edit }: TrailPlugin) {
  const headers = [{ key: "x-trail", appendValue: `${name}-${edit}` }];
  const spec = {
    phase,
    priority,
    failStrategy: name.endsWith("0") ? "FAIL_OPEN" : "FAIL_CLOSE",
    defaultConfig: { reroute: false, reqRules: [{ operate: "append", headers }] },
    url: "oci://higress-registry.cn-hangzhou.cr.aliyuncs.com/plugins/transformer:1.0.0",
  };
  const metadata = { name, namespace: "higress-system" };
  return { apiVersion: "extensions.higress.io/v1alpha1", kind: "WasmPlugin", metadata, spec };
}

/** Numbers from 0 to 1, a linear congruential generator's (Numerical Recipes). */
function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
