import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { getOrCreate } from "../get-or-create.ts";
import type { DeltaDiscoveryRequest, DiscoveryRequest } from "./ads.ts";

/** By plugin the SHA-256 of its module, `sha256:…`; "" where there is none. */
export type ModuleDigests = ReadonlyMap<string, string>;

/** A field of a request that only our discovery reads: for every other server it is unknown, and passed over. */
const fieldNumber = 20_100;

/** A request that says as well which modules its plugins run with. */
export function withModules<R extends DeltaDiscoveryRequest | DiscoveryRequest>(
  request: R,
  modules: ModuleDigests,
): R {
  if (modules.size === 0) return request;
  const text = new TextEncoder().encode(JSON.stringify(Object.fromEntries(modules)));
  const data = new BinaryWriter().bytes(text).finish();
  const others = (request.$unknown ?? []).filter(({ no }) => no !== fieldNumber);
  return { ...request, $unknown: [...others, { no: fieldNumber, wireType: WireType.LengthDelimited, data }] };
}

/** What a request says of modules. What is no digest is left out: it ends up where people read it. */
export function modulesOf({ $unknown }: DeltaDiscoveryRequest | DiscoveryRequest): ModuleDigests {
  const field = $unknown?.find(
    ({ no, wireType }) => no === fieldNumber && wireType === WireType.LengthDelimited,
  );
  if (!field) return new Map();
  const entries = Object.entries(parseObject(new TextDecoder().decode(new BinaryReader(field.data).bytes())));
  const isDigest = (value: unknown) => typeof value === "string" && /^(sha256:[0-9a-f]{64})?$/.test(value);
  return new Map(entries.filter(([, value]) => isDigest(value)) as [string, string][]);
}

function parseObject(text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}

/** What one client may say; more is not noted. */
const maxPlugins = 100_000;

/** How many clients run each plugin with which module, kept up to date by what changes. */
export interface ModuleTally {
  /** Notes what a client said. `known` is what it said before, and is brought up to it. */
  note(known: Map<string, string>, said: ModuleDigests): void;
  /** Takes all that a client said out. */
  forget(known: ReadonlyMap<string, string>): void;
  /** By digest the number of clients. */
  of(plugin: string): ReadonlyMap<string, number>;
}

export function createModuleTally(): ModuleTally {
  const counts = new Map<string, Map<string, number>>();
  const none: ReadonlyMap<string, number> = new Map();

  function add(plugin: string, digest: string, change: number): void {
    const digests = getOrCreate(counts, plugin, () => new Map<string, number>());
    const count = (digests.get(digest) ?? 0) + change;
    if (count > 0) digests.set(digest, count);
    else digests.delete(digest);
    if (digests.size === 0) counts.delete(plugin);
  }

  return {
    note(known, said) {
      for (const [plugin, digest] of said) {
        const before = known.get(plugin);
        if (before === digest || (before === undefined && known.size >= maxPlugins)) continue;
        if (before) add(plugin, before, -1);
        if (digest) add(plugin, digest, 1);
        if (digest) known.set(plugin, digest);
        else known.delete(plugin);
      }
    },
    forget(known) {
      for (const [plugin, digest] of known) add(plugin, digest, -1);
    },
    of: (plugin) => counts.get(plugin) ?? none,
  };
}
