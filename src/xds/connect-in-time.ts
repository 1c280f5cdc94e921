import { type Channel, type ClientDuplexStream, connectivityState } from "@grpc/grpc-js";

/** Of a client what tells whether it is connected. */
export interface Connecting {
  getChannel(): Channel;
  /** Calls back once it is connected, or with an error at the deadline, ms since 1970, or when it is closed. */
  waitForReady(deadline: number, callback: (error?: Error) => void): void;
}

/**
 * Calls back once a call that nothing was answered to has been without a connection for so long, in ms. It looks again
 * whenever the connection goes: gRPC moves a call that no server has seen to the next one without a word.
 */
export function whenLate(
  client: Connecting,
  call: ClientDuplexStream<never, unknown>,
  timeoutMs: number,
  onLate: () => void,
): void {
  let isOver = false;
  const end = () => {
    isOver = true;
  };
  for (const event of ["metadata", "status", "end", "close"]) call.once(event, end);
  const look = () =>
    client.waitForReady(Date.now() + timeoutMs, (late) => {
      if (isOver) return;
      if (!late) return watchLoss();
      end();
      onLate();
    });
  const watchLoss = () => {
    client.getChannel().watchConnectivityState(connectivityState.READY, Number.POSITIVE_INFINITY, () => {
      if (!isOver) look();
    });
  };
  look();
}
