// Builds the guests of the tests and benchmarks to build/guests/*.wasm: those whose sources changed since.
//   node --import tsx test/guests/build-guests.ts [NAME…]
import { fileURLToPath } from "node:url";
import { errorText } from "../../src/system-error.ts";
import { assembly } from "./builders/assembly.ts";
import { go } from "./builders/go.ts";
import { type Guest, isBuilt, type Language, noteBuilt, pathOf } from "./builders/guest.ts";
import { rust } from "./builders/rust.ts";
import { text } from "./builders/text.ts";

const languages: readonly Language[] = [assembly, text, rust, go];

/** Builds one guest if that is due, and gives the path of its module. */
export async function buildGuest(name: string): Promise<string> {
  await buildGuests([name]);
  return pathOf({ name });
}

/** Builds those guests that are due, of all or of these. */
export async function buildGuests(names: readonly string[] = []): Promise<void> {
  const known: string[] = [];
  for (const language of languages) {
    const all = await language.list();
    known.push(...all.map(({ name }) => name));
    await buildDue(
      language,
      all.filter(({ name, onDemand }) => (names.length === 0 ? !onDemand : names.includes(name))),
    );
    if (names.length > 0 && names.every((name) => known.includes(name))) return;
  }
  const unknown = names.find((name) => !known.includes(name));
  if (unknown) throw new Error(`there is no guest ${unknown}; expected one of ${known.sort().join(", ")}`);
}

async function buildDue(language: Language, guests: readonly Guest[]): Promise<void> {
  const due: Guest[] = [];
  for (const guest of guests) if (!(await isBuilt(guest))) due.push(guest);
  if (due.length === 0) return;
  const start = performance.now();
  await language.build(due);
  await Promise.all(due.map(noteBuilt));
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.error(`built guests in ${language.name}: ${due.map(({ name }) => name).join(" ")} (${seconds} s)`);
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  await buildGuests(process.argv.slice(2)).catch((error) => {
    console.error(errorText(error));
    process.exitCode = 1;
  });
