import type { Ingress } from "../resource/types.ts";
import { type IngressScope, report } from "./ingress-scope.ts";

/** What an Ingress asks for by annotation. */
export interface IngressAnnotations {
  readonly httpsRedirect: boolean;
  readonly canary: boolean;
}

const prefixes = ["nginx.ingress.kubernetes.io/", "higress.io/"] as const;
const redirects = ["ssl-redirect", "force-ssl-redirect"] as const;
const known: readonly string[] = [...redirects, "canary"];

/** The spellings that Go's ParseBool takes, and so Higress and nginx. */
const booleans = new Map<string | undefined, boolean>([
  ...["1", "t", "T", "TRUE", "true", "True"].map((text) => [text, true] as const),
  ...["0", "f", "F", "FALSE", "false", "False"].map((text) => [text, false] as const),
]);

/**
 * Reads the annotations under `nginx.ingress.kubernetes.io/` (which win, as in Higress) and `higress.io/`.
 *
 * Understood: `ssl-redirect` and `force-ssl-redirect`, and `canary` in so far as such an Ingress is left out. Not
 * understood, each with a warning: everything else, among them rewriting (`rewrite-target`, `use-regex`, …), the
 * `canary-*` family, CORS, timeouts and retries, IP access lists, authentication, upstream TLS, mirroring, header
 * control, rate limits, `app-root` and other redirects, `destination` (McpBridge) and Higress's matches by header,
 * query and method.
 */
export function readAnnotations(ingress: Ingress, scope: IngressScope): IngressAnnotations {
  const annotations = ingress.metadata.annotations ?? {};
  if (readBoolean(annotations, "canary")) {
    warnOfCanary(ingress, scope);
    return { httpsRedirect: false, canary: true };
  }
  for (const name of Object.keys(annotations).sort()) warnUnlessUnderstood(ingress, name, scope);
  return { httpsRedirect: redirects.some((name) => readBoolean(annotations, name)), canary: false };
}

function readBoolean(annotations: Readonly<Record<string, string>>, name: string): boolean {
  const values = prefixes.map((prefix) => booleans.get(annotations[prefix + name]));
  return values.find((value) => value !== undefined) ?? false;
}

function warnUnlessUnderstood(ingress: Ingress, name: string, scope: IngressScope): void {
  const prefix = prefixes.find((candidate) => name.startsWith(candidate));
  if (prefix === undefined) return;
  const value = ingress.metadata.annotations?.[name];
  const path = ["metadata", "annotations", name];
  if (!known.includes(name.slice(prefix.length))) {
    report(scope, ingress, {
      severity: "warning",
      code: "ANNOTATION_IGNORED",
      path,
      message: `annotation ${name} is not supported and has no effect`,
      hint: "remove it, or do the same with a plugin",
    });
  } else if (!booleans.has(value)) {
    report(scope, ingress, {
      severity: "warning",
      code: "ANNOTATION_IGNORED",
      path,
      message: `annotation ${name} is ${JSON.stringify(value)}, expected "true" or "false"; it has no effect`,
      hint: 'write "true" or "false", in quotes',
    });
  }
}

/** A canary's paths repeat those of the Ingress that it shadows: as ordinary routes they could take all of its traffic. */
function warnOfCanary(ingress: Ingress, scope: IngressScope): void {
  const annotations = ingress.metadata.annotations ?? {};
  const name = prefixes
    .map((prefix) => `${prefix}canary`)
    .find((key) => booleans.get(annotations[key]) === true);
  report(scope, ingress, {
    severity: "warning",
    code: "ANNOTATION_IGNORED",
    path: ["metadata", "annotations", name ?? "canary"],
    message: "canary Ingresses are not supported; this one is left out and takes no traffic",
    hint: "remove the annotation to route to it like any other Ingress",
  });
}
