import { execFile } from "node:child_process";
import { SystemError } from "../system-error.ts";
import type { Credentials } from "./credentials.ts";

const maxAnswerBytes = 64 << 10;
/** Of a program's name there is nothing to be expanded, and no way into another directory. */
const programName = /^[A-Za-z0-9][\w.-]*$/;

/** What to ask of which program. */
export interface ProgramRequest {
  /** As the Docker configuration says it, without `docker-credential-`. */
  readonly name: string;
  readonly registry: string;
  /** The file that names the program, for messages. */
  readonly source: string;
  /** Where `PATH` is looked up, and what the program gets. */
  readonly env: NodeJS.ProcessEnv;
  /** Within which it must have ended, in milliseconds; 20 s unless given. */
  readonly timeoutMs?: number;
}

/**
 * Asks a program `docker-credential-NAME` for a registry's credentials, by Docker's protocol: the word `get`, the
 * registry on standard input, a JSON object on standard output. Undefined where it knows of none.
 * @throws SystemError `unauthorized`, without a word of a good answer
 */
export async function askCredentialProgram(request: ProgramRequest): Promise<Credentials | undefined> {
  const program = `docker-credential-${request.name}`;
  const doing = `asking ${program} for the credentials of ${request.registry}`;
  if (!programName.test(request.name)) {
    const found = JSON.stringify(request.name);
    throw new SystemError("unauthorized", `${request.source}: no name of a credential program: ${found}`);
  }
  const { error, stdout } = await run(program, `${serverOf(request.registry)}\n`, request);
  if (error === undefined) return readAnswer(stdout, doing);
  if (/credentials not found/i.test(stdout)) return undefined;
  throw new SystemError("unauthorized", `${doing}: ${reasonOf(error, stdout, request)}`);
}

interface Failure {
  readonly code?: string | number | null;
  readonly killed?: boolean;
}

function run(program: string, input: string, { env, timeoutMs: timeout = 20_000 }: ProgramRequest) {
  return new Promise<{ error?: Failure; stdout: string }>((resolve) => {
    const options = { env, timeout, maxBuffer: maxAnswerBytes, killSignal: "SIGKILL" as const };
    const child = execFile(program, ["get"], options, (error, stdout) =>
      resolve({ error: error ?? undefined, stdout }),
    );
    // One that ends without reading is judged by how it ends.
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(input);
  });
}

function reasonOf({ code, killed }: Failure, stdout: string, { source }: ProgramRequest): string {
  if (code === "ENOENT") return `it is not in PATH; install it, or take it out of ${source}`;
  if (code === "ERR_CHILD_PROCESS_STDIO_MAXBUFFER") return `it answered more than ${maxAnswerBytes} bytes`;
  if (killed) return `it did not end in time`;
  // An answer that came with an error may hold the secret all the same.
  const said = stdout.trimStart().startsWith("{") ? "" : stdout.replace(/\p{Cc}+/gu, " ").trim();
  return `it failed (${code ?? "killed"})${said && `: ${said.slice(0, 200)}`}`;
}

function readAnswer(stdout: string, doing: string): Credentials | undefined {
  const { Username: username, Secret: secret } = parseObject(stdout);
  if (typeof username !== "string" || typeof secret !== "string") {
    throw new SystemError("unauthorized", `${doing}: expected a JSON object with Username and Secret`);
  }
  if (username === "" && secret === "") return undefined;
  // Docker's mark for a token in the place of a password.
  return username === "<token>"
    ? { username: "", password: "", identityToken: secret }
    : { username, password: secret };
}

/** Docker Hub's credentials are kept under the address of its first API. */
function serverOf(registry: string): string {
  return registry === "index.docker.io" ? "https://index.docker.io/v1/" : registry;
}

/** The parser's own message would quote the secret. */
function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}
