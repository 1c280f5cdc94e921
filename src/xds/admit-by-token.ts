import { createHash } from "node:crypto";
import { type Metadata, status } from "@grpc/grpc-js";
import { LRUCache } from "lru-cache";
import type { Log } from "../log.ts";
import { errorText } from "../system-error.ts";
import type { Admit, Identity } from "./server.ts";
import { StreamRefusal } from "./stream-refusal.ts";
import { createTurns } from "./take-turns.ts";

/** What somebody who can tell says of a token. `expiresAt` is in ms since 1970, undefined where the token does not say. */
export type TokenVerdict =
  | {
      readonly valid: true;
      readonly account: { readonly namespace: string; readonly name: string };
      readonly expiresAt: number | undefined;
    }
  | { readonly valid: false; readonly reason: string };

export interface TokenOptions {
  /** Asks whose a token is. */
  readonly review: (token: string) => Promise<TokenVerdict>;
  readonly log: Log;
}

const maxKnown = 10_000;
/** A token that was good is asked for again after this time, one that was not after the other. */
const goodMs = 10 * 60_000;
const badMs = 10_000;
/** Who sends more than fits a ServiceAccount's token sends none. */
const maxTokenLength = 16_384;
/** Tokens that may wait for the API server; a client above is asked to come again. */
const maxOpen = 2000;
/** Questions to the API server at once: each has a connection of its own there. */
const maxAtOnce = 8;

/**
 * Admits who sends a ServiceAccount's token, as the API server confirms it. Verdicts are kept by the token's hash until it
 * expires, for ten minutes at most. Where the API server does not answer nobody is admitted, and told to try again.
 */
export function admitByToken({ review, log }: TokenOptions): Admit {
  const known = new LRUCache<string, TokenVerdict>({ max: maxKnown });
  const open = new Map<string, Promise<TokenVerdict>>();
  const inTurn = createTurns(maxAtOnce);

  async function ask(key: string, token: string): Promise<TokenVerdict> {
    const verdict = await inTurn(() => review(token));
    known.set(key, verdict, { ttl: keptFor(verdict) });
    return verdict;
  }

  function verdictOf(token: string): TokenVerdict | Promise<TokenVerdict> {
    const key = createHash("sha256").update(token).digest("base64");
    const running = known.get(key) ?? open.get(key);
    if (running) return running;
    if (open.size >= maxOpen)
      throw new StreamRefusal(status.UNAVAILABLE, "too many tokens are being reviewed: try again");
    const asked = ask(key, token).finally(() => open.delete(key));
    open.set(key, asked);
    return asked;
  }

  return async (metadata) => {
    const token = bearerOf(metadata);
    let verdict: TokenVerdict;
    try {
      verdict = await verdictOf(token);
    } catch (error) {
      if (error instanceof StreamRefusal) throw error;
      log.error({ error: errorText(error) }, "cannot have tokens reviewed; nobody is admitted meanwhile");
      throw new StreamRefusal(status.UNAVAILABLE, "the token cannot be reviewed now: try again");
    }
    if (!verdict.valid) throw new StreamRefusal(status.UNAUTHENTICATED, verdict.reason);
    return identityOf(verdict);
  };
}

function identityOf({ account, expiresAt }: TokenVerdict & { valid: true }): Identity {
  if (expiresAt !== undefined && expiresAt <= Date.now())
    throw new StreamRefusal(status.UNAUTHENTICATED, "the token has expired");
  return { namespace: account.namespace, serviceAccount: account.name, expiresAt };
}

/** How long a verdict may be kept, in milliseconds; 1 at least, which to the cache is not "for ever". */
function keptFor(verdict: TokenVerdict): number {
  if (!verdict.valid) return badMs;
  return Math.max(1, Math.min(goodMs, (verdict.expiresAt ?? Number.POSITIVE_INFINITY) - Date.now()));
}

function bearerOf(metadata: Metadata): string {
  const text = String(metadata.get("authorization")[0] ?? "");
  const token = /^Bearer +(\S+)$/i.exec(text)?.[1];
  if (token && token.length <= maxTokenLength) return token;
  throw new StreamRefusal(
    status.UNAUTHENTICATED,
    'no token: expected the metadata "authorization: Bearer" with a ServiceAccount\'s token',
  );
}
