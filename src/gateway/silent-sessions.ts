import type { Http2Session } from "node:http2";

/** A session of a client. */
export interface WatchedSession {
  readonly session: Http2Session;
  /** No stream is on it. */
  isIdle(): boolean;
}

interface Silence {
  bytes: number;
  checks: number;
}

/** How many checks a session may be silent: without streams, and with some whose client may only be slow. */
const maxIdleChecks = 2;
const maxChecks = 10;

/**
 * Ends sessions that are over. When nghttp2 gives a session up (a flood, a frame that is none) it tells the client by GOAWAY
 * and neither reads nor writes any more, and Node tells nobody, not even that the client has gone. So a session on which
 * nothing moves is pinged, which every client answers, and ended if nothing moves all the same.
 */
export function createSilenceCheck(): (sessions: Iterable<WatchedSession>) => void {
  const silences = new WeakMap<Http2Session, Silence>();
  return (sessions) => {
    for (const { session, isIdle } of sessions) {
      if (session.destroyed) continue;
      const bytes = session.socket.bytesRead + session.socket.bytesWritten;
      const known = silences.get(session);
      if (known?.bytes !== bytes) silences.set(session, { bytes, checks: 1 });
      else if (++known.checks > (isIdle() ? maxIdleChecks : maxChecks)) session.destroy();
      else if (known.checks === 2) session.ping(() => {});
    }
  };
}
