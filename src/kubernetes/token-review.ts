import { SystemError } from "../system-error.ts";
import type { KubernetesClient } from "./client.ts";

/** Whose a token is. */
export interface ServiceAccount {
  readonly namespace: string;
  readonly name: string;
}

/** What the API server says of a token. */
export type TokenVerdict =
  | { readonly valid: true; readonly account: ServiceAccount; readonly expiresAt: number | undefined }
  | { readonly valid: false; readonly reason: string };

interface TokenReview {
  readonly status?: {
    readonly authenticated?: boolean;
    readonly user?: { readonly username?: string };
    readonly audiences?: readonly string[];
    readonly error?: string;
  };
}

const path = "/apis/authentication.k8s.io/v1/tokenreviews";
const timeoutMs = 10_000;

/**
 * Asks the API server whose token it is, which must be for one of the audiences. Needs the right to create tokenreviews
 * (the ClusterRole `system:auth-delegator`). `expiresAt` is in ms since 1970, undefined for a token that does not say.
 * @throws KubernetesError, SystemError where the API server does not say
 */
export async function reviewToken(
  client: Pick<KubernetesClient, "request">,
  token: string,
  audiences: readonly string[],
): Promise<TokenVerdict> {
  const body = { apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", spec: { token, audiences } };
  const review = (await client.request("POST", path, { body, timeoutMs })) as TokenReview | undefined;
  if (!review?.status) throw new SystemError("network", `the API server's answer to ${path} holds no status`);
  return verdictOf(review.status, token, audiences);
}

function verdictOf(
  { authenticated, user, audiences: confirmed = [] }: NonNullable<TokenReview["status"]>,
  token: string,
  audiences: readonly string[],
): TokenVerdict {
  // The API server's own words may quote claims of the token.
  const wanted = `expected one for the audience ${audiences.join(" or ")}`;
  if (!authenticated)
    return {
      valid: false,
      reason: `the token is not valid, has expired, or is for another audience: ${wanted}`,
    };
  if (!confirmed.some((audience) => audiences.includes(audience)))
    return { valid: false, reason: `the API server does not confirm the token's audience: ${wanted}` };
  const [, namespace, name] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(user?.username ?? "") ?? [];
  if (!namespace || !name) return { valid: false, reason: "the token is not a ServiceAccount's" };
  return { valid: true, account: { namespace, name }, expiresAt: expiryOf(token) };
}

/** The `exp` of a JSON web token, which whoever calls has had verified. */
function expiryOf(token: string): number | undefined {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString());
    const exp = typeof claims === "object" && claims !== null && "exp" in claims ? claims.exp : undefined;
    return typeof exp === "number" ? exp * 1000 : undefined;
  } catch {
    return undefined;
  }
}
