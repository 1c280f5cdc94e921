import { callbackNames } from "../proxy-wasm/abi.ts";
import type { VmObserver } from "../proxy-wasm/index.ts";
import { readModule } from "../wasm/read-module.ts";
import type { NamedModule } from "./job.ts";

/** What of a module no case has come to. */
export interface Coverage {
  readonly module: string;
  /** Callbacks that it exports. */
  readonly callbacks: readonly string[];
  /** Host functions that it imports, as `module.name`. */
  readonly hostFunctions: readonly string[];
}

/** Reports what is called for the first time, by names as a Coverage has them. */
export function createReachObserver(reached: Set<string>, onReach: (name: string) => void): VmObserver {
  return {
    hostFunction: (module, name, call) => noting(`${module}.${name}`, call),
    callback: (name, call) => noting(name, call),
  };

  function noting<P extends readonly unknown[], R>(name: string, call: (...parameters: P) => R) {
    return (...parameters: P) => {
      if (!reached.has(name)) {
        reached.add(name);
        onReach(name);
      }
      return call(...parameters);
    };
  }
}

export function findCoverage({ name, bytes }: NamedModule, reached: ReadonlySet<string>): Coverage {
  const { imports, exports } = readModule(bytes, name);
  const isMissed = (each: string) => !reached.has(each);
  const imported = imports
    .filter(({ kind }) => kind === "function")
    .map((each) => `${each.module}.${each.name}`);
  const exported = exports.filter(({ kind }) => kind === "function").map((each) => each.name);
  return {
    module: name,
    callbacks: exported.filter((each) => callbackNames.includes(each)).filter(isMissed),
    hostFunctions: [...new Set(imported)].filter(isMissed),
  };
}
