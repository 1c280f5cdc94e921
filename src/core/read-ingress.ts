import type { IstioConfig } from "../istio/config.ts";
import type { Diagnostic } from "../resource/diagnostic.ts";
import type { Ingress, Secret, Service } from "../resource/types.ts";
import type { ConvertOptions } from "./convert-options.ts";
import { acceptIngress } from "./ingress-accept.ts";
import { readCertificates } from "./ingress-certificates.ts";
import { type Offers, readDefaultRoute, readRoutes } from "./ingress-routes.ts";
import type { IngressScope, ServiceUse } from "./ingress-scope.ts";

/** What the reading of Ingresses looks things up in, by `namespace/name`. */
export interface IngressLookups {
  readonly services: ReadonlyMap<string, Service>;
  readonly secrets: ReadonlyMap<string, Secret>;
}

/** What an Ingress of our class says by itself, whatever the others say. */
export interface ReadIngress {
  /** Undefined where it says nothing that counts. */
  readonly offers: Offers | undefined;
  readonly certificates: readonly IstioConfig<"Secret">[];
  readonly diagnostics: readonly Diagnostic[];
  readonly serviceUses: readonly ServiceUse[];
}

interface Remembered extends ReadIngress {
  readonly options: ConvertOptions;
  /** What was looked up, and what was there. */
  readonly asked: readonly Asked[];
}

interface Asked {
  readonly list: keyof IngressLookups;
  readonly name: string;
  readonly found: Service | Secret | undefined;
}

const remembered = new WeakMap<Ingress, Remembered>();

/** Reads an Ingress. Nothing is done again while it, and what it refers to, are the same objects. */
export function readIngress(ingress: Ingress, lookups: IngressLookups, options: ConvertOptions): ReadIngress {
  const known = remembered.get(ingress);
  const isSame = ({ list, name, found }: Asked) => lookups[list].get(name) === found;
  if (known?.options === options && known.asked.every(isSame)) return known;
  const read = readAll(ingress, lookups, options);
  remembered.set(ingress, read);
  return read;
}

function readAll(ingress: Ingress, lookups: IngressLookups, options: ConvertOptions): Remembered {
  const asked: Asked[] = [];
  const ask = <T extends Service | Secret>(
    list: keyof IngressLookups,
    name: string,
    found: T | undefined,
  ) => {
    asked.push({ list, name, found });
    return found;
  };
  const scope: IngressScope = {
    options,
    findService: (name) => ask("services", name, lookups.services.get(name)),
    findSecret: (name) => ask("secrets", name, lookups.secrets.get(name)),
    diagnostics: [],
    serviceUses: [],
  };
  const { diagnostics, serviceUses } = scope;
  const from = acceptIngress(ingress, scope);
  if (!from) return { options, asked, offers: undefined, certificates: [], diagnostics, serviceUses };
  const offers = { from, routes: readRoutes(from, scope), defaultRoute: readDefaultRoute(from, scope) };
  return { options, asked, offers, certificates: readCertificates(from, scope), diagnostics, serviceUses };
}
