import { type Frame, flags, frame, frameTypes, readFrames, statusOf } from "../peers/http2-frames.ts";
import { connectRaw } from "../peers/raw-connection.ts";
import type { FrameCase } from "./frame-cases.ts";
import type { NotingUpstream } from "./raw-outcome.ts";

/** What became of frames. */
export interface FrameOutcome {
  /** What streams got: statuses, ends and resets, in the order of streams. */
  readonly streams: readonly string[];
  readonly goAway: string | undefined;
  /** Whether a ping is answered that follows. */
  readonly connection: "stays" | "closes" | "waits";
  readonly upstream: readonly string[];
}

const errors = [
  "NO_ERROR",
  "PROTOCOL_ERROR",
  "INTERNAL_ERROR",
  "FLOW_CONTROL_ERROR",
  "SETTINGS_TIMEOUT",
  "STREAM_CLOSED",
  "FRAME_SIZE_ERROR",
  "REFUSED_STREAM",
  "CANCEL",
  "COMPRESSION_ERROR",
  "CONNECT_ERROR",
  "ENHANCE_YOUR_CALM",
  "INADEQUATE_SECURITY",
  "HTTP_1_1_REQUIRED",
];
const probe = Buffer.from("probe!!!");
const waitMs = 2000;

export async function sendFrames(
  port: number,
  { bytes, streams = 0 }: FrameCase,
  upstream: NotingUpstream,
): Promise<FrameOutcome> {
  upstream.take();
  const client = await connectRaw(port);
  client.write(bytes);
  client.write(frame(frameTypes.ping, 0, 0, probe));
  const frames = () => readFrames(Buffer.from(client.received(), "latin1"));
  await client.reads(() => isSettled(frames(), streams), waitMs);
  const came = frames();
  const connection = isProbed(came) && !client.isEnded() ? "stays" : client.isEnded() ? "closes" : "waits";
  client.close();
  const goAway = came.findLast(({ type }) => type === frameTypes.goAway);
  return {
    streams: describeStreams(came),
    goAway: goAway && errors[goAway.payload.readUInt32BE(4)],
    connection,
    upstream: upstream.take(),
  };
}

/** Everything has come that is waited for, or the connection was given up. */
function isSettled(frames: readonly Frame[], streams: number): boolean {
  const isGivenUp = frames.some(
    ({ type, payload }) => type === frameTypes.goAway && payload.readUInt32BE(4) !== 0,
  );
  return isGivenUp || (isProbed(frames) && endedStreams(frames).size >= streams);
}

function isProbed(frames: readonly Frame[]): boolean {
  return frames.some(
    ({ type, flags: flag, payload }) =>
      type === frameTypes.ping && flag === flags.ack && payload.equals(probe),
  );
}

function endedStreams(frames: readonly Frame[]): Set<number> {
  return new Set(frames.flatMap((each) => (isEnd(each) ? [each.stream] : [])));
}

function isEnd({ type, flags: flag }: Frame): boolean {
  const carries = type === frameTypes.headers || type === frameTypes.data;
  return type === frameTypes.resetStream || (carries && (flag & flags.endStream) !== 0);
}

function describeStreams(frames: readonly Frame[]): string[] {
  const texts = new Map<number, string>();
  const add = (stream: number, text: string) =>
    texts.set(stream, `${texts.get(stream) ?? ""} ${text}`.trim());
  for (const each of frames) {
    const { type, stream, payload } = each;
    if (type === frameTypes.headers) add(stream, texts.has(stream) ? "trailers" : statusOf(payload));
    if (type === frameTypes.resetStream) add(stream, errors[payload.readUInt32BE(0)] ?? "?");
    else if (isEnd(each)) add(stream, "end");
  }
  return [...texts].sort(([a], [b]) => a - b).map(([stream, text]) => `${stream}: ${text}`);
}
