import type { JsonObject, JsonValue } from "../../resource/types.ts";
import { errorText, SystemError } from "../../system-error.ts";
import { type PluginTestFile, parseTestFile } from "../test-file.ts";
import type { RecordedCase } from "./recorded-case.ts";

/** What a file of test cases becomes with one more. */
export interface WrittenCase {
  readonly text: string;
  readonly name: string;
}

/** A new file with a case. `module` is what it names. */
export function newTestFile(recorded: RecordedCase, module: string): WrittenCase {
  const { name, config, vmConfig } = recorded;
  const head = [
    ...field("module", module, ""),
    ...(config === "" ? [] : field("config", config, "")),
    ...(vmConfig === "" ? [] : field("vmConfig", vmConfig, "")),
    "cases:",
  ];
  return {
    name,
    text: [...head, ...item(name, { ...recorded.inputs, expect: recorded.expect }, "  "), ""].join("\n"),
  };
}

/**
 * Adds a case at the end of a file, which keeps what it has. The case has a configuration of its own unless the file's is
 * the same.
 * @throws SystemError `disk` where the file's list of cases is not at its end
 */
export function appendCase(text: string, file: string, recorded: RecordedCase): WrittenCase {
  const before = parseTestFile(text, file).tests;
  const indent = /^( *)- /m.exec(text.slice(text.search(/^cases:/m)))?.[1] ?? "  ";
  const name = unusedName(recorded.name, before);
  const config = configText(recorded.config);
  const body = {
    ...(before && before.cases.length > 0 && fileConfig(before) === config
      ? {}
      : { config: recorded.config }),
    ...recorded.inputs,
    expect: recorded.expect,
  };
  const added = `${text.trimEnd()}\n${item(name, body, indent).join("\n")}\n`;
  const after = readBack(added, file);
  if (before && after && after.cases.length === before.cases.length + 1) return { text: added, name };
  throw new SystemError(
    "disk",
    `${file} does not end with its list of cases, one below the other; expected that to add one`,
  );
}

function readBack(text: string, file: string): PluginTestFile | undefined {
  try {
    return parseTestFile(text, file).tests;
  } catch (error) {
    throw SystemError.from(error, "disk", `adding a case to ${file}: ${errorText(error)}`);
  }
}

/** The configuration that cases without one get. */
function fileConfig({ cases }: PluginTestFile): string | undefined {
  return cases.every(({ config }) => config === cases[0]!.config) ? cases[0]!.config : undefined;
}

function configText(config: JsonValue): string {
  return typeof config === "string" ? config : JSON.stringify(config);
}

function unusedName(name: string, tests: PluginTestFile | undefined): string {
  const used = new Set(tests?.cases.map((each) => each.name));
  for (let number = 1; ; number++) {
    const candidate = number === 1 ? name : `${name} (${number})`;
    if (!used.has(candidate)) return candidate;
  }
}

function item(name: string, body: JsonObject, indent: string): string[] {
  const [first, ...others] = lines({ name, ...body }, `${indent}  `);
  return [`${indent}- ${first!.trimStart()}`, ...others];
}

/** YAML with a line for each field and each header; what is within these is JSON, which YAML is too. */
function lines(value: JsonObject, indent: string): string[] {
  return Object.entries(value).flatMap(([key, each]) => field(key, each, indent));
}

function field(key: string, value: JsonValue, indent: string): string[] {
  const name = `${indent}${/^\w[\w-]*$/.test(key) ? key : JSON.stringify(key)}:`;
  const inner = `${indent}  `;
  if (Array.isArray(value) && value.length > 0) {
    return [name, ...value.flatMap((each) => listItem(each as JsonValue, inner))];
  }
  if (isObject(value) && Object.keys(value).length > 0) return [name, ...lines(value, inner)];
  return [`${name} ${flow(value)}`];
}

function listItem(value: JsonValue, indent: string): string[] {
  if (!isObject(value) || Object.keys(value).length === 0) return [`${indent}- ${flow(value)}`];
  const [first, ...others] = lines(value, `${indent}  `);
  return [`${indent}- ${first!.trimStart()}`, ...others];
}

function flow(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map((each) => flow(each as JsonValue)).join(", ")}]`;
  // JSON lets these through, and YAML does not.
  return JSON.stringify(value).replace(/[\u007f-\u009f\u2028\u2029\ufeff]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

function isObject(value: JsonValue): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
