import { createSecureContext, type SecureContextOptions } from "node:tls";
import { errorText } from "../system-error.ts";
import type { TlsSecret } from "./gateway-config.ts";
import { refuse } from "./refused-config.ts";

/** Gives a secret that can be used, and refuses any other, as Envoy does when it comes. */
export function checked<T extends TlsSecret>(secret: T): T {
  if (secret.kind === "validation") {
    const ca = secret.trustedCa && Buffer.from(secret.trustedCa);
    orRefuse("Failed to load trusted CA certificates from <inline>", { ca });
    return secret;
  }
  const cert = Buffer.from(secret.chain);
  orRefuse("Failed to load certificate chain from <inline>", { cert });
  const passphrase = secret.password && Buffer.from(secret.password).toString();
  const key = Buffer.from(secret.privateKey);
  orRefuse("Failed to load private key from <inline>", { cert, key, ...(passphrase && { passphrase }) });
  return secret;
}

function orRefuse(what: string, options: SecureContextOptions): void {
  try {
    createSecureContext(options);
  } catch (error) {
    refuse("", `${what}, Cause: ${errorText(error)}`);
  }
}
