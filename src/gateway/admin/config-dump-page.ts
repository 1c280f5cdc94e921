import type { DescMessage, JsonObject, JsonValue } from "@bufbuild/protobuf";
import { RE2JS } from "re2js";
import {
  BootstrapConfigDumpSchema,
  SecretsConfigDumpSchema,
} from "../../gen/envoy/admin/v3/config_dump_pb.ts";
import {
  ClustersConfigDumpSchema,
  EcdsConfigDumpSchema,
  EndpointsConfigDumpSchema,
  ListenersConfigDumpSchema,
  RoutesConfigDumpSchema,
  ScopedRoutesConfigDumpSchema,
} from "../../gen/envoy/admin/v3/config_dump_shared_pb.ts";
import { jsonPage, type Page } from "../../http-server.ts";
import { errorText } from "../../system-error.ts";
import { applyMask } from "./field-mask.ts";

const schemas: ReadonlyMap<string, DescMessage> = new Map(
  [
    BootstrapConfigDumpSchema,
    ClustersConfigDumpSchema,
    EcdsConfigDumpSchema,
    EndpointsConfigDumpSchema,
    ListenersConfigDumpSchema,
    RoutesConfigDumpSchema,
    ScopedRoutesConfigDumpSchema,
    SecretsConfigDumpSchema,
  ].map((schema) => [`type.googleapis.com/${schema.typeName}`, schema]),
);

/** Longer expressions and masks are refused. */
const maxQueryLength = 4096;

/** `/config_dump`, as far as `resource`, `mask` and `name_regex` want it. `dump` gives everything, with endpoints or without. */
export function configDumpPage(
  query: URLSearchParams,
  dump: (options: { readonly includeEndpoints: boolean }) => JsonObject,
): Page {
  const [resource, mask, nameRegex] = ["resource", "mask", "name_regex"].map((name) => query.get(name) ?? "");
  if ([resource, mask, nameRegex].some((text) => text!.length > maxQueryLength))
    return bad("a parameter is too long");
  const isNamed = compileName(nameRegex!);
  if (typeof isNamed !== "function") return isNamed;
  const { configs } = dump({ includeEndpoints: query.has("include_eds") });
  const sections = (configs as JsonObject[]).map((section) => withNames(section, isNamed));
  const paths = mask === "" ? [] : mask!.split(",");
  if (resource !== "") return resourcePage(sections, resource!, paths);
  if (paths.length === 0) return jsonPage({ configs: sections });
  const masked = sections.flatMap((section) => applyMask(section, schemaOf(section), paths) ?? []);
  return masked.length > 0 ? jsonPage({ configs: masked }) : badMask(paths);
}

function resourcePage(sections: readonly JsonObject[], resource: string, paths: readonly string[]): Page {
  for (const section of sections) {
    const field = schemaOf(section).fields.find(({ name }) => name === resource);
    if (!field) continue;
    if (field.fieldKind !== "list" || field.listKind !== "message")
      return bad(`${resource} is not a repeated field. Use ?mask= to get only this field`);
    const { message } = field;
    const elements = ((section[resource] ?? []) as JsonObject[]).map((element) => ({
      "@type": `type.googleapis.com/${message.typeName}`,
      ...element,
    }));
    if (paths.length === 0) return jsonPage({ configs: elements });
    const masked = elements.map((element) => applyMask(element, message, paths));
    return masked.includes(undefined) ? badMask(paths) : jsonPage({ configs: masked });
  }
  return { status: 404, body: `${resource} not found in config dump` };
}

function schemaOf(section: JsonObject): DescMessage {
  return schemas.get(String(section["@type"]))!;
}

function compileName(source: string): ((name: string) => boolean) | Page {
  if (source === "") return () => true;
  try {
    const compiled = RE2JS.compile(source);
    return (name) => compiled.matches(name);
  } catch (error) {
    return bad(`INVALID_ARGUMENT: Error while parsing name_regex from ${source}: ${errorText(error)}`);
  }
}

/** A section with those resources only whose names are wanted. */
function withNames(section: JsonObject, isNamed: (name: string) => boolean): JsonObject {
  const entries = Object.entries(section).flatMap(([key, value]): [string, JsonValue][] => {
    if (!Array.isArray(value)) return [[key, value]];
    const kept = value.filter((item) => isNamed(nameOf(item as JsonObject)));
    return kept.length > 0 ? [[key, kept]] : [];
  });
  return Object.fromEntries(entries);
}

function nameOf({ name, cluster, route_config, ecds_filter, endpoint_config }: JsonObject): string {
  const inner = (cluster ?? route_config ?? ecds_filter ?? endpoint_config ?? {}) as JsonObject;
  return String(name ?? inner.name ?? inner.cluster_name ?? "");
}

function badMask(paths: readonly string[]): Page {
  return bad(
    `FieldMask ${paths.map((path) => `paths: "${path}"`).join(" ")} could not be successfully used.`,
  );
}

function bad(body: string): Page {
  return { status: 400, type: "text/plain", body };
}
