import type { status } from "@grpc/grpc-js";

/** Why a stream is not served, as its client is told. */
export class StreamRefusal extends Error {
  readonly code: status;

  constructor(code: status, message: string) {
    super(message);
    this.name = "StreamRefusal";
    this.code = code;
  }
}
