import type { RecordedHeader, RecordedMessage, Recording } from "../../proxy-wasm/index.ts";
import { createSecrets, type Secrets } from "./secrets.ts";

export interface RedactOptions {
  /** Names of headers, parameters and fields whose values stay. */
  readonly keep: readonly string[];
  /** Names whose values go, besides those that sound like secrets. */
  readonly redact: readonly string[];
}

/**
 * A recording without its secrets: what headers, parameters, cookies, fields of bodies and of the configuration hold whose
 * names sound like it, and in which plugins look for keys. The same secret is the same word everywhere, so that
 * what was equal still is. Gives the names whose values are gone, and what hides these values in other texts too.
 */
export function redactRecording(
  recording: Recording,
  options: RedactOptions,
): {
  readonly recording: Recording;
  readonly names: readonly string[];
  readonly hide: (text: string) => string;
} {
  const secrets = createSecrets({ ...options, redact: [...options.redact, ...recording.keys] });
  // First where they stand by name, then wherever they turn up.
  const byName = mapRecording(recording, inPlaces(secrets));
  return {
    recording: mapRecording(byName, anywhere(secrets)),
    names: secrets.names(),
    hide: secrets.everywhere,
  };
}

interface Rewrite {
  header(header: RecordedHeader): string;
  /** Bytes of a body, one in each character. */
  body(text: string): string;
  config(text: string): string;
  value(text: string): string;
}

function inPlaces(secrets: Secrets): Rewrite {
  return {
    header: ([name, value]) => secrets.inHeader(name, value),
    body: (text) => secrets.inBody(text),
    config: (text) => secrets.inJson(text),
    value: (text) => text,
  };
}

function anywhere({ everywhere }: Secrets): Rewrite {
  return {
    header: ([, value]) => everywhere(value),
    body: everywhere,
    config: everywhere,
    value: everywhere,
  };
}

function mapRecording(recording: Recording, rewrite: Rewrite): Recording {
  const bytes = (text: string, map: (text: string) => string) =>
    Buffer.from(map(Buffer.from(text, "base64").toString("latin1")), "latin1").toString("base64");
  const message = (one: RecordedMessage) => mapMessage(one, rewrite, bytes);
  const direction = (one: Recording["request"]) => ({
    ...one,
    before: message(one.before),
    ...(one.behind && { behind: message(one.behind) }),
  });
  const { request, response, calls, local, properties } = recording;
  return {
    ...recording,
    config: bytes(recording.config, rewrite.config),
    vmConfig: bytes(recording.vmConfig, rewrite.config),
    properties: Object.fromEntries(
      Object.entries(properties).map(([name, value]) => [name, bytes(value, rewrite.value)]),
    ),
    request: direction(request),
    ...(response && { response: direction(response) }),
    calls: calls.map((call) => ({
      ...call,
      ...asMessage(call, message),
      ...(call.answer && { answer: message(call.answer) }),
    })),
    ...(local && { local: { ...local, ...asMessage(local, message) } }),
  };
}

/** What has one body, as a message with one piece. */
function asMessage(
  { headers, body }: { readonly headers: readonly RecordedHeader[]; readonly body: string },
  map: (message: RecordedMessage) => RecordedMessage,
) {
  const mapped = map({ headers, body: body === "" ? [] : [body] });
  return { headers: mapped.headers, body: mapped.body[0] ?? "" };
}

function mapMessage(
  { headers, body, trailers }: RecordedMessage,
  rewrite: Rewrite,
  bytes: (text: string, map: (text: string) => string) => string,
): RecordedMessage {
  const mapped = (lines: readonly RecordedHeader[]) =>
    lines.map((line): RecordedHeader => [line[0], rewrite.header(line)]);
  const whole = Buffer.concat(body.map((piece) => Buffer.from(piece, "base64")));
  const rewritten = Buffer.from(bytes(whole.toString("base64"), rewrite.body), "base64");
  const isChanged = !rewritten.equals(whole);
  // A secret may stand in two pieces.
  const pieces = isChanged ? [rewritten.toString("base64")] : body;
  const lines = mapped(headers).map(([name, value]): RecordedHeader => {
    const isLength = isChanged && name === "content-length" && value === String(whole.length);
    return [name, isLength ? String(rewritten.length) : value];
  });
  return { headers: lines, body: pieces, ...(trailers && { trailers: mapped(trailers) }) };
}
