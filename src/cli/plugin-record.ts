import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { request } from "node:http";
import { dirname, join, relative, resolve } from "node:path";
import type { Command } from "commander";
import { writeFileAtomically } from "../oci/write-file.ts";
import { loadModule } from "../plugin/load-module.ts";
import { confirmCase } from "../plugin/record/confirm-case.ts";
import { caseOfRecording, type RecordedCase } from "../plugin/record/recorded-case.ts";
import { redactRecording } from "../plugin/record/redact.ts";
import { appendCase, newTestFile, type WrittenCase } from "../plugin/record/write-case.ts";
import { parseTestFile } from "../plugin/test-file.ts";
import type { Recording } from "../proxy-wasm/index.ts";
import { ResourceError } from "../resource/diagnostic.ts";
import { errorText, SystemError } from "../system-error.ts";
import { collect, integer, stopSignal } from "./options.ts";
import { addGuestLimit, type GuestFlags } from "./plugin-options.ts";
import { addInsecureRegistry, type RegistryFlags, registryOptions } from "./registry-access.ts";

interface RecordFlags extends GuestFlags, RegistryFlags {
  readonly server: string;
  readonly plugin: string | undefined;
  readonly host: string | undefined;
  readonly path: string | undefined;
  readonly method: string | undefined;
  readonly header: readonly string[] | undefined;
  readonly wait: number;
  readonly module: string | undefined;
  readonly keepHeader: readonly string[] | undefined;
  readonly redact: readonly string[] | undefined;
}

const repeat = (value: string, previous: readonly string[] = []) => [...previous, value];

export function addPluginRecordCommand(plugin: Command): void {
  const command = plugin
    .command("record")
    .description(
      "write the next request at a running gateway into a test file, as a plugin meets it, without secrets",
    )
    .argument("<file>", "the test file; a case is added at its end")
    .option("--server <url>", "the embedded gateway's admin pages", "http://127.0.0.1:15000")
    .option("--plugin <name>", "the plugin; may be left out where the gateway runs one")
    .option("--host <host>", "only a request to this host")
    .option("--path <path>", "only a request whose path begins so")
    .option("--method <method>", "only a request with this method")
    .option(
      "--header <name:value>",
      "only a request with this header, of any value without one; may be repeated",
      repeat,
    )
    .option("--wait <seconds>", "how long to wait for a request", integer(1, 3600), 60)
    .option(
      "--module <module>",
      "what a new file names: a file or an image; ../build/plugin.wasm where that is there",
    )
    .option(
      "--keep-header <name>",
      "a header, parameter or field whose value stays; may be repeated",
      collect,
    )
    .option("--redact <name>", "one more whose value goes; may be repeated", collect);
  addGuestLimit(command);
  addInsecureRegistry(command);
  command.action(record);
}

async function record(file: string, flags: RecordFlags): Promise<void> {
  const signal = stopSignal();
  const before = await readIfThere(file);
  const module = moduleOf(file, before, flags.module);
  const named = await loadModule(module, dirname(file), registryOptions(flags));
  console.error(`waiting ${flags.wait} s for a request at ${flags.server}`);
  const recorded = await askForRecording(flags, signal);
  const { recording, names, hide } = redactRecording(recorded, {
    keep: flags.keepHeader ?? [],
    redact: flags.redact ?? [],
  });
  const { recorded: passing, leftOut } = await confirmCase(caseOfRecording(recording), named, {
    limitMs: flags.timeout,
    signal,
  });
  if (names.length > 0) console.error(`redacted: ${names.join(", ")}; --keep-header keeps one`);
  for (const { path, expected, actual } of leftOut)
    console.error(
      `not expected: ${path}: recorded ${shown(expected, hide)}, and the case gives ${shown(actual, hide)}`,
    );
  const stopped = leftOut.find(({ path }) => path === "start" || path === "end");
  if (stopped)
    throw new SystemError(
      "plugin-start",
      `${named.name} does not run as recorded: ${shown(stopped.actual, hide)}`,
    );
  const { text, name } = written(before, file, passing, module);
  await writeFileAtomically(file, Buffer.from(text)).catch((error) => {
    throw SystemError.from(error, "disk", `writing ${file}`);
  });
  console.log(name);
}

function written(
  before: string | undefined,
  file: string,
  recorded: RecordedCase,
  module: string,
): WrittenCase {
  return before === undefined ? newTestFile(recorded, module) : appendCase(before, file, recorded);
}

/** What runs the case: relative to the file's folder, if it is a file. */
function moduleOf(file: string, text: string | undefined, given: string | undefined): string {
  if (given !== undefined) return existsSync(given) ? relative(dirname(file), given) : given;
  const built = "../build/plugin.wasm";
  if (text !== undefined) {
    const { tests, diagnostics } = parseTestFile(text, file);
    if (!tests) throw new ResourceError(diagnostics);
    if (tests.module !== undefined) return tests.module;
  }
  if (existsSync(join(dirname(file), built))) return built;
  const looked = relative(".", resolve(dirname(file), built));
  throw new SystemError(
    "not-found",
    `which module does the case run with? There is none at ${looked}; expected --module`,
  );
}

async function readIfThere(file: string): Promise<string | undefined> {
  return readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw SystemError.from(error, "disk", `reading ${file}`);
  });
}

const maxAnswerBytes = 64 * 1024 * 1024;

/** Waits for the gateway's recording. */
async function askForRecording(flags: RecordFlags, signal: AbortSignal): Promise<Recording> {
  const { server, plugin, host, path, method, header = [], wait } = flags;
  const query = new URLSearchParams({ timeout: String(wait) });
  for (const [name, value] of Object.entries({ plugin, host, path, method }))
    if (value !== undefined) query.set(name, value);
  for (const each of header) query.append("header", each);
  const { status, body } = await post(new URL(`/record?${query}`, serverOf(server)), signal);
  if (status === 200) return JSON.parse(body) as Recording;
  // An Envoy has no such page.
  const isEnvoy = status === 404 && body.startsWith("invalid path");
  const code = status === 408 ? "timeout" : status === 404 || status === 409 ? "not-found" : "network";
  throw new SystemError(
    code,
    isEnvoy
      ? `${server} does not record: expected the admin pages of wasmline's embedded gateway`
      : `${server}: ${body.trim() || status}`,
  );
}

function serverOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "http:") return url;
  throw new SystemError(
    "reference-invalid",
    `no server: ${JSON.stringify(text)}; expected http://127.0.0.1:15000 or the like`,
  );
}

function post(url: URL, signal: AbortSignal): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((done, reject) => {
    const fail = (error: unknown) =>
      reject(
        new SystemError(
          signal.aborted ? "cancelled" : "network",
          `asking ${url.origin}: ${errorText(error)}`,
          error,
        ),
      );
    const sent = request(url, { method: "POST", signal }, (response) => {
      const parts: Buffer[] = [];
      let size = 0;
      response.on("data", (part: Buffer) => {
        size += part.length;
        if (size > maxAnswerBytes) response.destroy(new Error(`more than ${maxAnswerBytes} bytes came`));
        parts.push(part);
      });
      response.on("error", fail);
      response.on("end", () =>
        done({ status: response.statusCode ?? 0, body: Buffer.concat(parts).toString() }),
      );
    });
    sent.on("error", fail);
    sent.end();
  });
}

/** A value on one line, which nobody has to read to its end. */
function shown(value: unknown, hide: (text: string) => string): string {
  const text = value === undefined ? "nothing" : hide(JSON.stringify(value));
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}
