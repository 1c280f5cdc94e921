import { currentContext, enterContext } from "./context";

/** A call of which something is still to come, and the context that made it. */
export abstract class PendingCall {
  readonly context: u32 = currentContext();
}

/** Calls by token and family: old proxies number HTTP and gRPC calls apart. */
const calls = new Map<u64, PendingCall>();

/** What a token is of. */
export enum CallFamily {
  Http = 0,
  Grpc = 1,
}

function keyOf(family: CallFamily, token: u32): u64 {
  return ((token as u64) << 1) | (family as u64);
}

export function addCall(family: CallFamily, token: u32, call: PendingCall): void {
  calls.set(keyOf(family, token), call);
}

export function forgetCall(family: CallFamily, token: u32): void {
  calls.delete(keyOf(family, token));
}

/** The call of a token, in whose context hostcalls are from now on; null when nobody waits for it any more. */
export function enterCall(family: CallFamily, token: u32): PendingCall | null {
  const key = keyOf(family, token);
  if (!calls.has(key)) return null;
  const call = calls.get(key);
  if (enterContext(call.context)) return call;
  calls.delete(key);
  return null;
}
