import { Status } from "./abi.ts";
import type { CallRefusal, Cancel } from "./outside.ts";
import type { Vm } from "./vm.ts";

/** A token that was given to the guest, or why there is none. */
export type Begun = { readonly token: number } | { readonly status: Status };

/** What a token is for: it says so in its two lowest bits, as in Envoy. */
export const CallKind = { Http: 0, GrpcCall: 1, GrpcStream: 2, Other: 3 } as const;
export type CallKind = (typeof CallKind)[keyof typeof CallKind];

export function kindOf(token: number): CallKind {
  return (token & 3) as CallKind;
}

/** Calls of one kind that are under way, by the token that the guest knows them by. */
export interface PendingCalls {
  has(token: number): boolean;
  begin(token: number, unknownUpstream: Status, start: () => Cancel | CallRefusal): Begun;
  /** The last that comes of a call, once the guest has returned. */
  settle(token: number, action: () => void): void;
  /** Something that comes of a call that goes on. */
  continue(token: number, action: () => void): void;
  forget(token: number): void;
  /** False if there is no such call. */
  cancel(token: number): boolean;
  cancelAll(): void;
}

const maxCalls = 100_000;

export function createPendingCalls(vm: Vm): PendingCalls {
  const pending = new Map<number, Cancel>();
  return {
    has: (token) => pending.has(token),
    forget: (token) => void pending.delete(token),
    continue: (token, action) => vm.afterCall(() => pending.has(token) && vm.holdActions(action)),
    settle: (token, action) => vm.afterCall(() => pending.delete(token) && vm.holdActions(action)),
    begin(token, unknownUpstream, start) {
      if (pending.size >= maxCalls) return { status: Status.InternalFailure };
      const cancel = start();
      if (cancel === "unknown-upstream") return { status: unknownUpstream };
      if (cancel === "failed") return { status: Status.InternalFailure };
      pending.set(token, cancel);
      return { token };
    },
    cancel(token) {
      const cancel = pending.get(token);
      pending.delete(token);
      cancel?.();
      return cancel !== undefined;
    },
    cancelAll() {
      const cancels = [...pending.values()];
      pending.clear();
      for (const cancel of cancels) cancel();
    },
  };
}
