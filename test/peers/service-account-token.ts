import { createSign, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Kubernetes } from "./kubernetes.ts";

/** A token of a ServiceAccount with another expiry, which Kubernetes itself would not make: in the past, or in seconds. */
export async function tokenUntil(plane: Kubernetes, token: string, expiresAt: Date): Promise<string> {
  const key = await readFile(join(plane.directory, "sa.key"), "utf8");
  const [header, payload] = token.split(".") as [string, string];
  const exp = Math.floor(expiresAt.getTime() / 1000);
  const claims = {
    ...JSON.parse(Buffer.from(payload, "base64url").toString()),
    exp,
    iat: exp - 600,
    nbf: exp - 600,
  };
  const signed = `${header}.${Buffer.from(JSON.stringify(claims)).toString("base64url")}`;
  return `${signed}.${createSign("RSA-SHA256").update(signed).sign(key, "base64url")}`;
}

/** A token that somebody else has signed. */
export function forgedToken(token: string): string {
  const [header, payload] = token.split(".") as [string, string];
  return `${header}.${payload}.${randomBytes(256).toString("base64url")}`;
}
