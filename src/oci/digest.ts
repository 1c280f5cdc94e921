import { createHash } from "node:crypto";
import { SystemError } from "../system-error.ts";

/** The SHA-256 of some bytes, 64 hexadecimal digits. */
export function sha256Hex(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** `sha256:` and the SHA-256 of some bytes. */
export function digestOf(bytes: Uint8Array): string {
  return `sha256:${sha256Hex(bytes)}`;
}

/** @throws SystemError `digest-mismatch` unless the bytes have that digest. `what` begins the message. */
export function checkDigest(bytes: Uint8Array, expected: string, what: string): void {
  const found = digestOf(bytes);
  if (found === expected) return;
  throw new SystemError(
    "digest-mismatch",
    `${what}: the ${bytes.length} bytes have digest ${found}; expected ${expected}`,
  );
}
