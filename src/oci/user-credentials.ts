import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { LRUCache } from "lru-cache";
import { SystemError } from "../system-error.ts";
import { askCredentialProgram } from "./credential-program.ts";
import {
  type Credentials,
  type FindCredentials,
  parseDockerConfig,
  readDockerConfig,
  splitKey,
} from "./credentials.ts";

/** An agent that starts asks for all its plugins at once, and each program takes its time. */
const rememberedMs = 60_000;

/**
 * Finds credentials as the user of this machine has them: by `$DOCKER_CONFIG/config.json`, or else
 * `~/.docker/config.json`; there by the registry's entry in `credHelpers`, or else `credsStore`, and then in `auths`.
 * Without the file everything is anonymous. The file is read each time; what programs answer is remembered for a minute.
 */
export function createUserCredentials(env: NodeJS.ProcessEnv = process.env): FindCredentials {
  const answers = new LRUCache<string, Promise<Credentials | undefined>>({ max: 1000, ttl: rememberedMs });
  const ask = (name: string, registry: string, source: string) => {
    const key = JSON.stringify([name, registry]);
    const known = answers.get(key);
    if (known) return known;
    const answer = askCredentialProgram({ name, registry, source, env });
    answers.set(key, answer);
    // Whoever logs in now, or installs the program, is believed at the next question.
    answer.then(
      (found) => found ?? answers.delete(key),
      () => answers.delete(key),
    );
    return answer;
  };
  return async (registry, repository) => {
    const file = join(env.DOCKER_CONFIG || join(homedir(), ".docker"), "config.json");
    const text = await readIfThere(file);
    if (text === undefined) return undefined;
    const findStored = parseDockerConfig(text, file);
    const program = chooseProgram(text, file, registry);
    const found = program === undefined ? undefined : await ask(program, registry, file);
    // Unlike Docker: what a program does not know may still be in the file, as `auths` for one registry beside a store.
    return found ?? findStored(registry, repository);
  };
}

/** The program that is responsible for a registry, by what follows `docker-credential-` in its name. */
function chooseProgram(text: string, source: string, registry: string): string | undefined {
  const { credHelpers = {}, credsStore = "" } = readDockerConfig(text, source);
  const own = Object.entries(credHelpers ?? {}).find(([key]) => splitKey(key).registry === registry)?.[1];
  const name: unknown = own ?? credsStore;
  if (typeof name === "string") return name || undefined;
  throw new SystemError("unauthorized", `${source}: expected credHelpers and credsStore to name programs`);
}

async function readIfThere(file: string): Promise<string | undefined> {
  return readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw SystemError.from(error, "disk", `reading ${file}`);
  });
}
