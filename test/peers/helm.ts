import { type Log, silentLog } from "../../src/log.ts";
import { requireGoPrograms } from "./go-programs.ts";

let required: Promise<string> | undefined;

/** The path of helm. */
export function requireHelm(log: Log = silentLog): Promise<string> {
  const programs = { module: "helm", packages: ["helm.sh/helm/v3/cmd/helm"], minutes: 2 };
  required ??= requireGoPrograms(programs, log).then(([helm]) => helm!);
  return required;
}
