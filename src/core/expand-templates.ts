import type { Diagnostic, FieldPath } from "../resource/diagnostic.ts";
import { type JsonValue, refOf, type Secret, type WasmPlugin } from "../resource/types.ts";

/** `${type.name.key}` or `${type.namespace/name.key}`; a key may hold dots. */
const template = /\$\{([^.}/]+)\.(?:([^/}]+)\/)?([^.}/]+)\.([^}]+)\}/g;

/** Finds a Secret. */
export type SecretLookup = (namespace: string, name: string) => Secret | undefined;

export interface Expansion {
  /** The plugin with values in the place of its templates; the plugin itself where it has none. */
  readonly plugin: WasmPlugin;
  readonly diagnostics: readonly Diagnostic[];
}

/**
 * Puts the values of Secrets into a WasmPlugin's strings: `${secret.name.key}` (system namespace) or
 * `${secret.ns/name.key}`. Other `${…}` is the plugin's own and stays.
 *
 * Unlike Higress: values cannot break out of their string, and a Secret that is missing is an error that keeps the last
 * good version, where Higress sends the template's text as if it were the credential.
 */
export function expandTemplates(
  plugin: WasmPlugin,
  systemNamespace: string,
  secrets: SecretLookup,
): Expansion {
  if (!holdsTemplate(plugin.spec)) return { plugin, diagnostics: [] };
  const diagnostics: Diagnostic[] = [];
  const expand = (text: string, path: FieldPath) =>
    text.replace(template, (whole, type, namespace, name, key) => {
      if (type !== "secret") return whole;
      const secret = secrets(namespace ?? systemNamespace, name);
      const value = secret && Object.hasOwn(secret.data, key) ? secret.data[key] : undefined;
      if (value) return Buffer.from(value).toString("utf8");
      diagnostics.push(
        secret?.unreadable === undefined
          ? missing(plugin, path, whole, secret ? `no key ${JSON.stringify(key)}` : "no such Secret")
          : unreadable(plugin, path, `${whole}: ${secret.unreadable}`),
      );
      return whole;
    });
  const spec = mapStrings(plugin.spec as unknown as JsonValue, ["spec"], expand);
  return { plugin: { ...plugin, spec: spec as unknown as WasmPlugin["spec"] }, diagnostics };
}

/** The Secrets that a WasmPlugin's templates name. */
export function templateSecrets(
  plugin: WasmPlugin,
  systemNamespace: string,
): readonly { readonly namespace: string; readonly name: string }[] {
  const found: { namespace: string; name: string }[] = [];
  expandTemplates(plugin, systemNamespace, (namespace, name) => void found.push({ namespace, name }));
  return found;
}

function holdsTemplate(value: unknown): boolean {
  if (typeof value === "string") return value.includes("${secret.");
  if (typeof value !== "object" || value === null) return false;
  for (const key in value) {
    if (key.includes("${secret.") || holdsTemplate((value as Record<string, unknown>)[key])) return true;
  }
  return false;
}

function mapStrings(
  value: JsonValue,
  path: FieldPath,
  map: (text: string, path: FieldPath) => string,
): JsonValue {
  if (typeof value === "string") return map(value, path);
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((item, index) => mapStrings(item, [...path, index], map));
  const entries = Object.entries(value).map(([key, item]) => [
    map(key, [...path, key]),
    mapStrings(item, [...path, key], map),
  ]);
  return Object.fromEntries(entries);
}

function missing(plugin: WasmPlugin, path: FieldPath, whole: string, what: string): Diagnostic {
  return {
    severity: "error",
    code: "SECRET_NOT_FOUND",
    message: `${whole}: ${what}`,
    at: { ref: refOf(plugin), path, file: plugin.origin?.file },
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is what the user writes
    hint: "create the Secret, or correct the template: ${secret.namespace/name.key}",
  };
}

/** Of a Secret that something refers to and that the API server does not give. */
export function unreadable(
  plugin: WasmPlugin,
  path: FieldPath,
  message: string,
  severity: Diagnostic["severity"] = "error",
): Diagnostic {
  const at = { ref: refOf(plugin), path, file: plugin.origin?.file };
  return { severity, code: "SECRET_UNREADABLE", message, at, hint: unreadableHint };
}

export const unreadableHint =
  "give core that right (core.secretNamespaces of the chart), or name another Secret";
