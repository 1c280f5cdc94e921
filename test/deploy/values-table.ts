import { readFileSync } from "node:fs";
import { join } from "node:path";
import { load } from "js-yaml";

interface Schema {
  readonly $ref?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly enum?: readonly string[];
}

const begin = "<!-- values -->";
const end = "<!-- /values -->";

/** The text with its table of values as the chart's values.yaml and values.schema.json have them. */
export function withValuesTable(text: string, chart: string): string {
  const schema = JSON.parse(readFileSync(join(chart, "values.schema.json"), "utf8")) as Schema & {
    readonly $defs: Readonly<Record<string, Schema>>;
  };
  const values = load(readFileSync(join(chart, "values.yaml"), "utf8"));
  const resolve = (one: Schema) =>
    one.$ref ? { ...schema.$defs[one.$ref.split("/").at(-1)!], ...one } : one;
  const rows = rowsOf(resolve(schema), values, "", resolve);
  const table = ["| value | default | what |", "|---|---|---|", ...rows].join("\n");
  const [head, rest] = text.split(begin);
  const tail = rest?.split(end)[1];
  if (head === undefined || tail === undefined) throw new Error(`there is no ${begin} … ${end}`);
  return `${head}${begin}\n${table}\n${end}${tail}`;
}

function rowsOf(schema: Schema, value: unknown, path: string, resolve: (one: Schema) => Schema): string[] {
  if (!schema.properties) return [rowOf(schema, value, path)];
  return Object.entries(schema.properties).flatMap(([key, property]) => {
    if (path === "" && key === "global") return [];
    const inner = value as Readonly<Record<string, unknown>> | undefined;
    return rowsOf(resolve(property), inner?.[key], path === "" ? key : `${path}.${key}`, resolve);
  });
}

function rowOf({ description = "", enum: choices }: Schema, value: unknown, path: string): string {
  if (value === undefined) throw new Error(`values.yaml has no ${path}, and the schema has`);
  const what = choices ? `${description} ${choices.map((one) => `\`${one}\``).join(", ")}` : description;
  return `| \`${path}\` | \`${JSON.stringify(value)}\` | ${what} |`;
}
