import { mapIncrementally } from "../incremental.ts";
import type { IstioConfig } from "../istio/config.ts";
import { changesBetween } from "../splices.ts";

type VirtualServiceConfig = IstioConfig<"VirtualService">;

/** VirtualServices by the Gateways, as `namespace/name`, that they are bound to. */
export type ServicesByGateway = ReadonlyMap<string, readonly VirtualServiceConfig[]>;

/** For a stream of configurations: the list of a Gateway is the same one while its VirtualServices are. */
export function createServicesByGateway(): (services: readonly VirtualServiceConfig[]) => ServicesByGateway {
  const namesOf = mapIncrementally(gatewayNames);
  let last: readonly (readonly string[])[] = [];
  let bound: ServicesByGateway = new Map();
  return (services) => {
    const names = namesOf(services);
    // Each VirtualService has a list of names of its own, so that it is another one wherever that is.
    const { gone, come } = changesBetween(last, names);
    bound = bindAgain(bound, new Set([...gone, ...come].flat()), services, names);
    last = names;
    return bound;
  };
}

/** Puts the lists of some Gateways together anew. */
function bindAgain(
  before: ServicesByGateway,
  touched: ReadonlySet<string>,
  services: readonly VirtualServiceConfig[],
  names: readonly (readonly string[])[],
): ServicesByGateway {
  const lists = new Map<string, VirtualServiceConfig[]>();
  for (const [index, service] of services.entries())
    for (const name of names[index]!) {
      if (!touched.has(name)) continue;
      const list = lists.get(name);
      if (list) list.push(service);
      else lists.set(name, [service]);
    }
  const bound = new Map(before);
  for (const name of touched) bound.delete(name);
  for (const [name, list] of lists) bound.set(name, list);
  return bound;
}

/** A VirtualService names its gateways as `namespace/name`, or `name` in its own namespace. */
function gatewayNames({ namespace, spec }: VirtualServiceConfig): readonly string[] {
  return [...new Set(spec.gateways.map((name) => (name.includes("/") ? name : `${namespace}/${name}`)))];
}
