/** What can go wrong with the world, as opposed to with what a user wrote. A code is part of the interface; its text is not. */
export type SystemErrorCode =
  | "cancelled"
  | "disk"
  | "envoy"
  | "module-invalid"
  | "network"
  | "not-found"
  | "plugin-start"
  | "reference-invalid"
  | "registry"
  | "timeout"
  | "too-large"
  | "toolchain"
  | "unauthorized"
  | "digest-mismatch"
  | "xds";

/**
 * The world failed: network, registry, disk, Envoy. The message says what was being done and what came back;
 * `cause` keeps the original error.
 */
export class SystemError extends Error {
  readonly code: SystemErrorCode;
  /** How long whoever failed asks to be left alone, in milliseconds; undefined where it does not say. */
  readonly retryAfterMs?: number;

  constructor(code: SystemErrorCode, message: string, cause?: unknown, retryAfterMs?: number) {
    super(message, { cause });
    this.name = "SystemError";
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }

  /** Wraps whatever was caught, unless it already is a SystemError. `doing` completes "while …". */
  static from(error: unknown, code: SystemErrorCode, doing: string): SystemError {
    if (error instanceof SystemError) return error;
    return new SystemError(code, `${doing}: ${errorText(error)}`, error);
  }
}

/** One line for people from anything that was thrown, with the causes that Node hides (`fetch failed`). */
export function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause =
    error.cause instanceof Error && !(error instanceof SystemError) ? `: ${errorText(error.cause)}` : "";
  return (error.message || error.name) + cause;
}
