import { getOrCreate } from "../get-or-create.ts";
import type { Log } from "../log.ts";
import { type Diagnostic, formatDiagnostic } from "../resource/diagnostic.ts";
import { changesBetween } from "../splices.ts";

/** Logs what was not among the diagnostics of the last call. Of thousands that stay none is looked at. */
export function createDiagnosticLog(log: Log): (diagnostics: readonly Diagnostic[]) => void {
  let last: readonly Diagnostic[] = [];
  const logged = new Set<string>();
  return (diagnostics) => {
    const changes = changesBetween(last, diagnostics);
    const gone = new Set(changes.gone.map(textOf));
    for (const diagnostic of changes.come) {
      const text = textOf(diagnostic);
      gone.delete(text);
      if (logged.has(text)) continue;
      logged.add(text);
      if (diagnostic.severity === "error") log.error({}, text);
      else log.warn({}, text);
    }
    for (const text of gone) logged.delete(text);
    last = diagnostics;
  };
}

const texts = new WeakMap<Diagnostic, string>();

function textOf(diagnostic: Diagnostic): string {
  return getOrCreate(texts, diagnostic, () => formatDiagnostic(diagnostic));
}
