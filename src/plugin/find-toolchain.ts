import type { Producer } from "../wasm/custom-sections.ts";
import type { ModuleInterface } from "../wasm/read-module.ts";

/** What a module was made with, as far as its bytes tell. */
export interface Toolchain {
  readonly language: Finding;
  readonly sdk: Finding;
}

/** `unknown` where nothing in the module says it. */
export interface Finding {
  readonly name: string;
  /** What says so. */
  readonly because?: string;
}

type Encoding = "latin1" | "utf16le";

const unknown: Finding = { name: "unknown" };

/** Texts that an SDK leaves in what is built with it; the first that is there decides. */
const sdkMarks: readonly (readonly [sdk: string, mark: string, encoding: Encoding])[] = [
  ["Higress' wasm-go", "github.com/higress-group/wasm-go/", "latin1"],
  ["Higress' wasm-go", "github.com/alibaba/higress/plugins/wasm-go/", "latin1"],
  ["Higress' proxy-wasm-go-sdk", "github.com/higress-group/proxy-wasm-go-sdk/", "latin1"],
  ["tetratelabs' proxy-wasm-go-sdk", "github.com/tetratelabs/proxy-wasm-go-sdk/", "latin1"],
  ["proxy-wasm-go-sdk", "github.com/proxy-wasm/proxy-wasm-go-sdk/", "latin1"],
  ["Higress' wasm-rust", "higress_wasm_rust", "latin1"],
  ["proxy-wasm-rust-sdk", "proxy_wasm::", "latin1"],
  ["proxy-wasm-rust-sdk", "/proxy-wasm-0.", "latin1"],
  ["Wasmline's AssemblyScript library", "sdk/assembly/", "utf16le"],
  ["Higress' AssemblyScript SDK", "@higress/proxy-wasm-assemblyscript-sdk", "utf16le"],
  ["Gcore's AssemblyScript SDK", "@gcoredev/proxy-wasm-sdk-as", "utf16le"],
  ["solo-io's AssemblyScript SDK", "@solo-io/proxy-runtime", "utf16le"],
  ["proxy-wasm-cpp-sdk", "proxy_wasm_intrinsics", "latin1"],
  ["proxy-wasm-cpp-sdk", "11RootContext", "latin1"],
];

// Texts are looked for as bytes: Node looks for UTF-16 only at even places, and data may stand at any.

/** Finds out what a module was made with. */
export function findToolchain(
  bytes: Uint8Array,
  module: ModuleInterface,
  producers: readonly Producer[],
): Toolchain {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { language: findLanguage(buffer, module, producers), sdk: findSdk(buffer) };
}

function findSdk(bytes: Buffer): Finding {
  const mark = sdkMarks.find(([, text, encoding]) => bytes.includes(Buffer.from(text, encoding)));
  return mark ? { name: mark[0], because: `the text ${JSON.stringify(mark[1])}` } : unknown;
}

function findLanguage(bytes: Buffer, module: ModuleInterface, producers: readonly Producer[]): Finding {
  const exported = module.exports.find(({ name }) => languageOfExport(name) !== undefined);
  // What wasm-ld links for others calls itself C: a language that is exported or written out goes before.
  if (exported) return { name: languageOfExport(exported.name)!, because: `the export ${exported.name}` };
  if (bytes.includes("tinygo", 0, "latin1") && !bytes.includes("Go cmd/compile", 0, "latin1"))
    return { name: "Go (TinyGo)", because: 'the text "tinygo"' };
  const said = producers.find(({ field }) => field === "language");
  if (said)
    return { name: said.name.replace(/^C(_plus_plus|99|11)?.*/, "C or C++"), because: "section producers" };
  if (bytes.includes(Buffer.from("~lib/", "utf16le")))
    return { name: "AssemblyScript", because: 'the text "~lib/" in UTF-16' };
  return findCompiler(producers);
}

function languageOfExport(name: string): string | undefined {
  if (name.startsWith("tinygo_")) return "Go (TinyGo)";
  return name === "__new" || name === "__pin" ? "AssemblyScript" : undefined;
}

function findCompiler(producers: readonly Producer[]): Finding {
  const names: Readonly<Record<string, string>> = { rustc: "Rust", clang: "C or C++" };
  const found = producers.find(({ name }) => names[name] !== undefined);
  return found ? { name: names[found.name]!, because: `section producers: ${found.name}` } : unknown;
}
