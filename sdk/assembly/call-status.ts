import { proxy_get_status } from "./abi";
import { Status } from "./enums";
import { addressSlot, numberSlot, sizeSlot } from "./memory";
import { takeText } from "./text";

/** Why a call failed, or how a gRPC stream ended. */
export class CallStatus {
  constructor(
    /** A gRPC status code for gRPC; for HTTP, a status of the ABI. */
    readonly code: u32,
    readonly message: string,
  ) {}
}

/** Status of the call whose callback runs; null when there is none. */
export function readCallStatus(): CallStatus | null {
  const status = proxy_get_status(numberSlot(), addressSlot(), sizeSlot());
  return status == Status.Ok ? new CallStatus(load<u32>(numberSlot()), takeText()) : null;
}
