import type { DescMessage } from "@bufbuild/protobuf";
import { equals } from "@bufbuild/protobuf";
import { sameItems } from "../incremental.ts";
import type { IstioConfig, IstioKind } from "../istio/config.ts";

/**
 * Puts the previous object in the place of each new one that says the same, and the previous list in the place of the
 * new one if nothing changed, so that later stations see by identity that they have nothing to do.
 */
export function keepUnchanged<K extends IstioKind>(
  schema: DescMessage,
  previous: readonly IstioConfig<K>[],
  next: readonly IstioConfig<K>[],
): readonly IstioConfig<K>[] {
  const byName = new Map(previous.map((config) => [keyOf(config), config]));
  const kept = next.map((config) => {
    const old = byName.get(keyOf(config));
    return old && says(schema, old, config) ? old : config;
  });
  return sameItems(previous, kept) ? previous : kept;
}

/** The same for one object, which may have another name now. */
export function keepSame<K extends IstioKind>(
  schema: DescMessage,
  previous: IstioConfig<K> | undefined,
  next: IstioConfig<K>,
): IstioConfig<K> {
  return previous && keyOf(previous) === keyOf(next) && says(schema, previous, next) ? previous : next;
}

function says<K extends IstioKind>(schema: DescMessage, a: IstioConfig<K>, b: IstioConfig<K>): boolean {
  if (a === b) return true;
  return JSON.stringify(a.annotations) === JSON.stringify(b.annotations) && equals(schema, a.spec, b.spec);
}

function keyOf({ namespace, name }: IstioConfig): string {
  return `${namespace}/${name}`;
}
