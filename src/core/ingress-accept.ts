import { getOrCreate } from "../get-or-create.ts";
import type { Ingress } from "../resource/types.ts";
import { compareText } from "./config-names.ts";
import { readAnnotations } from "./ingress-annotations.ts";
import { type AcceptedIngress, type HostRule, type IngressScope, report } from "./ingress-scope.ts";

const classAnnotation = "kubernetes.io/ingress.class";

const hostPattern = /^(\*|(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)$/;

/**
 * Whether an Ingress is ours: its annotation decides, else `spec.ingressClassName`. Higress looks for the IngressClass
 * object of that name in between and then compares the object's name, which is the same one, so the objects do not
 * matter here.
 */
export function isOfClass({ metadata, spec }: Ingress, wanted: string): boolean {
  if (wanted === "") return true;
  const found = metadata.annotations?.[classAnnotation] ?? spec.ingressClassName ?? "";
  return found === wanted || (wanted === "nginx" && found === "");
}

/** An Ingress of our class that says anything. */
export function acceptIngress(ingress: Ingress, scope: IngressScope): AcceptedIngress | undefined {
  const { rules: written = [], defaultBackend } = ingress.spec;
  if (written.length === 0 && defaultBackend === undefined) {
    report(scope, ingress, {
      severity: "error",
      code: "MISSING_FIELD",
      path: ["spec"],
      message: "Ingress has neither rules nor a defaultBackend, so it routes nothing",
      hint: "write spec.rules with a host and paths, or spec.defaultBackend",
    });
    return undefined;
  }
  const annotations = readAnnotations(ingress, scope);
  if (annotations.canary) return undefined;
  const rules = acceptRules(ingress, scope);
  const hosts = [...new Set(rules.map(({ host }) => host))];
  return { ingress, httpsRedirect: annotations.httpsRedirect, rules, hosts };
}

/**
 * A host that is not a DNS name would make the gateway reject the routes of all hosts, so its rule is left out.
 * Unlike Higress, which relies on the API server's validation: files have passed none.
 */
function acceptRules(ingress: Ingress, scope: IngressScope): readonly HostRule[] {
  return (ingress.spec.rules ?? []).flatMap((rule, index) => {
    const host = rule.host || "*";
    if (hostPattern.test(host) && host.length <= 253) return [{ index, host }];
    report(scope, ingress, {
      severity: "error",
      code: "INVALID_VALUE",
      path: ["spec", "rules", index, "host"],
      message: `host is ${JSON.stringify(host)}, expected a DNS name in lower case, without port or scheme`,
      hint: "write a name such as foo.com or *.foo.com, or leave the host out for all hosts",
    });
    return [];
  });
}

/** Higress' order: the oldest first, and of one age by `name.namespace`. Those in files have no age. */
export function compareIngresses(a: Ingress, b: Ingress): number {
  return compareText(placeOf(a), placeOf(b)) || compareText(a.metadata.namespace, b.metadata.namespace);
}

const places = new WeakMap<Ingress, string>();

/** An Ingress' place among the others as text: places sort as the Ingresses do. */
function placeOf(ingress: Ingress): string {
  const { name, namespace, server } = ingress.metadata;
  return getOrCreate(places, ingress, () => `${server?.creationTimestamp ?? ""} ${name}.${namespace}`);
}
