import { JsonValue } from "../../../../sdk/assembly/json/value";
import { parseJson } from "../../../../sdk/assembly/json/parser";
import { proxy_get_buffer_bytes, proxy_log } from "./abi";
import { Arguments, bytes, show, showPairs, variables } from "./arguments";
import { Out, Outcome, perform } from "./hostcalls";
import * as out from "./out";

/** Makes the hostcalls that only one version of the ABI has. */
export type Perform = (name: string, args: Arguments) => Outcome;
let performOfVersion: Perform = perform;

export function usePerform(chosen: Perform): void {
  performOfVersion = chosen;
}

class Context {
  calls: Map<string, i32> = new Map<string, i32>();
  constructor(readonly root: u32) {}
}

const contexts = new Map<u32, Context>();
const scripts = new Map<u32, JsonValue>();
let vmScript: JsonValue | null = null;

export function createContext(id: u32, parent: u32): void {
  contexts.set(id, new Context(parent == 0 ? id : parent));
  variables.set(parent == 0 ? "$root" : "$stream", id);
}

export function deleteContext(id: u32): void {
  contexts.delete(id);
}

/** Reads the configuration of the VM or of a plugin: an object of callbacks' names and what to do in each. */
export function configure(root: u32, buffer: u32, size: u32): void {
  if (size == 0) return;
  out.clear();
  proxy_get_buffer_bytes(buffer, 0, size, out.outAddress(), out.outSize());
  const text = new ArrayBuffer(out.size32());
  memory.copy(changetype<usize>(text), out.address32(), out.size32());
  const json = parseJson(text).value;
  if (json === null) say(`no JSON: ${show(changetype<usize>(text), text.byteLength)}`);
  else if (buffer == 6) vmScript = json;
  else scripts.set(root, json);
}

/** Logs that a callback was called, does what the script says, and gives what the callback is to return. */
export function run(callback: string, id: u32, args: u32[], result: u32): u32 {
  let line = `${callback} ${id}`;
  for (let i = 0; i < args.length; i++) {
    line += ` ${args[i]}`;
    variables.set(`$${i + 1}`, args[i]);
  }
  const context = contexts.has(id) ? contexts.get(id) : new Context(id);
  variables.set("$id", id);
  const script = scripts.has(context.root) ? scripts.get(context.root) : vmScript;
  if (script === null || !script.get("quiet").isTrue) say(line);
  if (script === null) return result;
  const count = context.calls.has(callback) ? context.calls.get(callback) + 1 : 1;
  context.calls.set(callback, count);
  const numbered = script.get(`${callback}#${count}`);
  const steps = (numbered.exists ? numbered : script.get(callback)).list();
  for (let i = 0; i < steps.length; i++) {
    const step = steps[i].list();
    const name = step[0].text();
    if (name == "return") result = new Arguments(step).at(0);
    else doStep(name, step);
  }
  return result;
}

function doStep(name: string, step: JsonValue[]): void {
  if (name == "trap") unreachable();
  if (name == "say") return say(step[1].text());
  if (name == "keep") {
    variables.set(`$${step[1].text()}`, step.length > 2 ? new Arguments(step).long(2) : out.size32());
    return;
  }
  if (name == "keep_code") {
    variables.set(`$${step[1].text()}`, out.code32());
    return;
  }
  if (name == "grow") return say(`grow -> ${memory.grow(step[1].number as i32)}`);
  if (name == "size_of") return call(step[1].text(), step.slice(1), Show.Size);
  if (name == "value_of") return call(step[1].text(), step.slice(1), Show.Value);
  if (name == "out") {
    const at = new Arguments(step);
    return out.redirect(at.at(0), at.at(1));
  }
  call(name, step, Show.All);
}

/** How much of a result a line has: a size or a version may differ from run to run. */
enum Show {
  All,
  Size,
  Value,
}

function call(name: string, step: JsonValue[], show: Show): void {
  const args = new Arguments(step);
  out.clear();
  const outcome = performOfVersion(name, args);
  const value = outcome.out == Out.Unknown ? " no such hostcall" : outcome.status == 0 ? shown(outcome.out, show) : "";
  out.redirect(0, 0);
  say(`${name} -> ${outcome.status}${value}`);
}

function shown(kind: Out, how: Show): string {
  if (kind == Out.None || out.isRedirected()) return "";
  if (kind == Out.Number) return how != Show.All ? " a number" : ` ${out.size32()}`;
  if (kind == Out.Long) return how != Show.All ? (out.long64() > 0 ? " > 0" : " 0") : ` ${out.long64()}`;
  if (kind == Out.Two) return ` ${out.address32()} ${out.size32()}`;
  const code = out.code32();
  const prefix = code == 0xdddddddd || how != Show.All ? "" : ` (${code})`;
  if (how == Show.Size) return `${prefix} ${out.size32()} bytes`;
  const address = out.address32();
  if (address == 0 || out.size32() == 0) return `${prefix} ptr ${address == 0 ? "0" : "set"} size ${out.size32()}`;
  return `${prefix} ${kind == Out.Pairs ? showPairs(address, out.size32()) : show(address, out.size32())}`;
}

export function say(line: string): void {
  const text = bytes(line);
  proxy_log(2, changetype<usize>(text) as u32, text.byteLength);
}
