import type { HeaderMap } from "../proxy-wasm/header-map.ts";
import type { UpstreamStream } from "./upstream-stream.ts";

const empty = new Uint8Array(0);

/**
 * What has come of a request behind its headers, and is to be sent still, or again. As in Envoy, one that is larger than
 * the limit is sent once only.
 */
export class KeptBody {
  /** Everything has come. */
  ended = false;
  /** It is kept to be sent again. */
  isRepeatable: boolean;
  private readonly limitBytes: number;
  private parts: Uint8Array[] = [];
  /** What is kept. */
  bytes = 0;
  private trailers: HeaderMap | undefined;

  constructor(mayRepeat: boolean, limitBytes: number) {
    this.isRepeatable = mayRepeat;
    this.limitBytes = limitBytes;
  }

  /** Takes a part. `isSent`: it is kept only if it may be needed again. */
  add(bytes: Uint8Array, endOfStream: boolean, isSent: boolean): void {
    this.ended = endOfStream;
    if (isSent && !this.isRepeatable) return;
    this.parts.push(bytes);
    this.bytes += bytes.length;
    if (!this.isRepeatable || this.bytes <= this.limitBytes) return;
    this.isRepeatable = false;
    if (isSent) this.forget();
  }

  end(trailers: HeaderMap | undefined): void {
    this.ended = true;
    this.trailers = trailers;
  }

  /** Writes all that there is. False: wait for `onDrain`. */
  sendTo(stream: UpstreamStream): boolean {
    const { parts, trailers } = this;
    const endsWithBody = this.ended && !trailers;
    let isRoom = true;
    for (const [i, part] of parts.entries())
      isRoom = stream.sendData(part, endsWithBody && i === parts.length - 1);
    if (endsWithBody && parts.length === 0) stream.sendData(empty, true);
    if (trailers) stream.sendTrailers(trailers);
    if (!this.isRepeatable) this.forget();
    return isRoom;
  }

  private forget(): void {
    this.parts = [];
    this.bytes = 0;
  }
}
