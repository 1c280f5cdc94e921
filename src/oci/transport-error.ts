import { errorText, SystemError } from "../system-error.ts";

const timeoutCodes = new Set([
  "ETIMEDOUT",
  "UND_ERR_BODY_TIMEOUT",
  "UND_ERR_CONNECT_TIMEOUT",
  "UND_ERR_HEADERS_TIMEOUT",
]);

/** Says what a transport error means, and whether trying again may help. Errors that are SystemErrors already are final. */
export function transportFailure(
  error: unknown,
  doing: string,
  url: URL,
  signal?: AbortSignal,
): { failure: SystemError; isPassing: boolean } {
  if (signal?.aborted) return { failure: abortFailure(signal, doing), isPassing: false };
  if (error instanceof SystemError) return { failure: error, isPassing: false };
  const code = errorCode(error);
  if (timeoutCodes.has(code)) {
    const message = `${doing}: ${url.host} did not answer in time (${errorText(error)})`;
    return { failure: new SystemError("timeout", message, error), isPassing: true };
  }
  const hint = hintFor(code, url.host);
  const message = `${doing}: no connection to ${url.host}: ${errorText(error)}${hint && `; ${hint}`}`;
  return { failure: new SystemError("network", message, error), isPassing: !isTlsCode(code) };
}

/** The SystemError for work that a signal has ended: `timeout` for `AbortSignal.timeout`, else `cancelled`. */
export function abortFailure(signal: AbortSignal, doing: string): SystemError {
  const { reason } = signal;
  if (reason instanceof SystemError) return reason;
  const isTimeout = reason instanceof DOMException && reason.name === "TimeoutError";
  return isTimeout
    ? new SystemError("timeout", `${doing}: not finished in time`, reason)
    : new SystemError("cancelled", `${doing}: cancelled`, reason);
}

function errorCode(error: unknown): string {
  if (!(error instanceof Error)) return "";
  const { code } = error as NodeJS.ErrnoException;
  return code ?? errorCode(error.cause);
}

function isTlsCode(code: string): boolean {
  return /^(?:CERT_|DEPTH_ZERO_|ERR_TLS_|ERR_SSL_|EPROTO$|SELF_SIGNED_|UNABLE_TO_)/.test(code);
}

function hintFor(code: string, host: string): string {
  if (/^(?:EPROTO$|ERR_SSL_)/.test(code)) {
    return `if it speaks plain HTTP, list ${host} as an insecure registry`;
  }
  if (isTlsCode(code)) {
    return `to trust its certificate authority, give --registry-ca ${host}=FILE or name the file in NODE_EXTRA_CA_CERTS`;
  }
  if (code === "ENOTFOUND") return "check the host name";
  return "";
}
