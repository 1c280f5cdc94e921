import { proxy_close_stream, proxy_continue_stream, proxy_send_local_response } from "./abi";
import { Status, StreamType } from "./enums";
import { Header } from "./headers";
import { encodePairs } from "./pairs";
import { bytesOf } from "./text";

const NOT_GRPC: i32 = -1;

/** A response that the plugin gives in place of the upstream. Make it when the configuration is read: sending is free. */
export class LocalResponse {
  private headers: ArrayBuffer;
  private body: ArrayBuffer;
  private details: ArrayBuffer;

  /** `details` goes into the proxy's access log as the reason. */
  constructor(
    readonly status: u32,
    headers: Header[],
    body: string,
    details: string,
  ) {
    this.headers = encodePairs(headers);
    this.body = bytesOf(body);
    this.details = bytesOf(details);
  }

  /** Answers the current stream. The proxy stops the request, whatever the callback returns then. */
  send(): bool {
    const status = proxy_send_local_response(
      this.status,
      changetype<usize>(this.details),
      this.details.byteLength,
      changetype<usize>(this.body),
      this.body.byteLength,
      changetype<usize>(this.headers),
      this.headers.byteLength,
      NOT_GRPC,
    );
    return status == Status.Ok;
  }
}

/** Lets a paused request or response go on. */
export function continueStream(type: StreamType): bool {
  return proxy_continue_stream(type) == Status.Ok;
}

/** Ends the current stream. */
export function closeStream(type: StreamType): bool {
  return proxy_close_stream(type) == Status.Ok;
}
