import { errorText, SystemError, type SystemErrorCode } from "../../system-error.ts";
import type { WireError } from "./messages.ts";

/** What another thread is told of an error. */
export function toWire(error: unknown): WireError {
  return { code: error instanceof SystemError ? error.code : "plugin-start", message: errorText(error) };
}

/** The error of another thread. */
export function fromWire({ code, message }: WireError): SystemError {
  return new SystemError(code as SystemErrorCode, message);
}
