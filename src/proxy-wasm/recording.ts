// What is recorded is plain data: it goes from thread to thread, and out as JSON. Texts are bytes, one in each character.

/** Which request is to be recorded: the first that a plugin gets and that fits in all that is given. */
export interface RecordingWish {
  /** Its name, or the end of it behind the dot: `key-auth` stands for `higress-system.key-auth`. */
  readonly plugin: string;
  /** Without a port. */
  readonly host?: string;
  /** What the path begins with. */
  readonly path?: string;
  readonly method?: string;
  /** Headers that are there, with these values unless they are empty. Names are lower-case. */
  readonly headers: readonly RecordedHeader[];
}

export type RecordedHeader = readonly [name: string, value: string];

export interface RecordedMessage {
  readonly headers: readonly RecordedHeader[];
  /** The pieces of its body, in base64. */
  readonly body: readonly string[];
  readonly trailers?: readonly RecordedHeader[];
}

/** A call that the plugin made; without an answer it failed. */
export interface RecordedCall {
  readonly upstream: string;
  readonly headers: readonly RecordedHeader[];
  readonly body: string;
  readonly answer?: RecordedMessage;
}

export interface RecordedReply {
  readonly status: number;
  readonly headers: readonly RecordedHeader[];
  readonly body: string;
  readonly details: string;
}

/** One direction: what the plugin got, and what the next filter got. */
export interface RecordedDirection {
  readonly before: RecordedMessage;
  /** Undefined where the plugin let nothing pass. */
  readonly behind?: RecordedMessage;
  /** What its last callback answered. */
  readonly action: "continue" | "pause";
}

/** A request as one plugin met it. */
export interface Recording {
  readonly plugin: string;
  readonly rootId: string;
  /** In base64, as the other bytes. */
  readonly config: string;
  readonly vmConfig: string;
  /** The headers and parameters in which plugins of the gateway look for keys: what configurations list under `keys`. */
  readonly keys: readonly string[];
  /** What the plugin read that does not follow from headers, by names with dots; the values in base64. */
  readonly properties: Readonly<Record<string, string>>;
  readonly request: RecordedDirection;
  /** Of the upstream, or of another filter in its place. */
  readonly response?: RecordedDirection;
  readonly calls: readonly RecordedCall[];
  /** What the plugin answered itself. */
  readonly local?: RecordedReply;
}

/** What a recording may hold of bodies and answers, in bytes. */
export const maxRecordedBytes = 4 * 1024 * 1024;
