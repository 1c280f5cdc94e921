import { freePort } from "./ports.ts";
import { startProgram } from "./program.ts";

export interface RedisOptions {
  /** Any free one unless given. */
  readonly port?: number;
  /** Of the user `default`. */
  readonly password?: string;
  /** Further arguments, as `--user`, `plugin`, `on`, `>its-password`, `~*`, `+@all`. */
  readonly args?: readonly string[];
}

export interface Redis {
  readonly port: number;
  stop(): Promise<unknown>;
}

/** Starts Debian's redis-server on loopback, with nothing on disk. */
export async function startRedis({ port, password, args = [] }: RedisOptions = {}): Promise<Redis> {
  const auth = password === undefined ? [] : ["--requirepass", password];
  for (let attempt = 1; ; attempt++) {
    const number = port ?? (await freePort());
    const fixed = ["--port", `${number}`, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    const program = startProgram("redis-server", [...fixed, ...auth, ...args]);
    try {
      await program.waitFor("stdout", /Ready to accept connections/);
      return { port: number, stop: () => program.stop() };
    } catch (error) {
      await program.stop("SIGKILL");
      // Somebody else may have taken the port meanwhile.
      if (attempt === 3 || port !== undefined || !/in use/.test(String(error))) throw error;
    }
  }
}
