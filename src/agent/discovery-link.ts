import { setTimeout as sleep } from "node:timers/promises";
import {
  ChannelCredentials,
  type ClientDuplexStream,
  connectivityState,
  makeGenericClientConstructor,
} from "@grpc/grpc-js";
import { getOrCreate } from "../get-or-create.ts";
import {
  connectTimeoutMs as defaultConnectTimeoutMs,
  grpcOptions,
  passThroughDefinition,
} from "../xds/ads.ts";
import { backoffMs } from "../xds/client.ts";
import { type Connecting, whenLate } from "../xds/connect-in-time.ts";

export type AdsMethod = keyof typeof passThroughDefinition;

/** The way from the agent to discovery, of all of its streams. */
export interface DiscoveryLink {
  /** Opens a stream to discovery. The messages are bytes. */
  open(method: AdsMethod): ClientDuplexStream<Buffer, Buffer>;
  /** Whether discovery is there. Answers within a second. */
  isThere(): Promise<boolean>;
  /** Resolves when discovery is there, however long that takes, or when the signal aborts. */
  whenThere(signal: AbortSignal): Promise<void>;
  /** Notes that discovery has said something on a stream. */
  answered(): void;
  /** Notes that discovery has ended a stream on which it had said nothing: somebody is there, but not for us. */
  failed(): void;
}

const DiscoveryClient = makeGenericClientConstructor(passThroughDefinition, "AggregatedDiscoveryService");
type Client = Record<AdsMethod, () => ClientDuplexStream<Buffer, Buffer>> & Connecting & { close(): void };

/** Where discovery is and how it is spoken to. */
export interface DiscoveryAddress {
  /** `host:port`, several separated by commas. Of a name with several addresses any that answers is taken. */
  readonly target: string;
  /** Plaintext unless given. */
  readonly credentials?: ChannelCredentials;
  /** How long a connection may take to be there; 10 seconds unless given. */
  readonly connectTimeoutMs?: number;
}

const connectMs = 1000;

/**
 * Keeps a connection to discovery, one of several if there are several, until the signal aborts; gRPC tries again at least
 * once in a second. Each new connection is to any of them, so that gateways spread.
 */
export function createDiscoveryLink(
  {
    target,
    credentials = ChannelCredentials.createInsecure(),
    connectTimeoutMs = defaultConnectTimeoutMs,
  }: DiscoveryAddress,
  signal: AbortSignal,
): DiscoveryLink {
  const targets = target.split(",").map((one) => one.trim());
  const connect = (to: string) => new DiscoveryClient(to, credentials, linkOptions) as unknown as Client;
  const clients = targets.map(connect);
  /** Since when a client has been seen without a connection, by `performance.now()`. */
  const awaySince = new WeakMap<Client, number>();
  let current = anyOf(clients);
  let failures = 0;
  let notBefore = 0;
  signal.addEventListener(
    "abort",
    () => {
      for (const client of clients) client.close();
    },
    { once: true },
  );

  const takeNext = () => {
    current = clients[(clients.indexOf(current) + 1) % clients.length]!;
  };
  const stateOf = (client: Client, connect = true) => client.getChannel().getConnectivityState(connect);
  /** Resolves when a connection is no longer in a state, or at the deadline. */
  const changed = (client: Client, state: connectivityState, deadline: number) =>
    new Promise<void>((resolve) =>
      client.getChannel().watchConnectivityState(state, deadline, () => resolve()),
    );
  const renew = (client: Client) => {
    const place = clients.indexOf(client);
    if (place < 0 || signal.aborted) return;
    client.close();
    clients[place] = connect(targets[place]!);
    if (current === client) current = clients[place];
  };
  /** Makes a client anew whose connection takes too long. */
  const renewLate = () => {
    // Once a connection was refused, gRPC says so also while it waits for the next one.
    if (stateOf(current, false) === connectivityState.READY) return void awaySince.delete(current);
    const since = getOrCreate(awaySince, current, () => performance.now());
    if (performance.now() - since >= connectTimeoutMs) renew(current);
  };
  /** Chooses anew where there is no connection: the one before may be the one that said it would go. */
  const stateNow = () => {
    renewLate();
    if (stateOf(current, false) === connectivityState.IDLE) current = anyOf(clients);
    return stateOf(current);
  };

  return {
    open(method) {
      const client = current;
      const call = client[method]();
      whenLate(client, call, connectTimeoutMs, () => renew(client));
      return call;
    },
    async isThere() {
      const deadline = Date.now() + connectMs;
      const failed = new Set<Client>();
      while (Date.now() < deadline && performance.now() >= notBefore && !signal.aborted) {
        const state = stateNow();
        if (state === connectivityState.READY) return true;
        if (state !== connectivityState.TRANSIENT_FAILURE) {
          await changed(current, state, deadline);
          continue;
        }
        if (failed.add(current).size === clients.length) return false;
        takeNext();
      }
      return false;
    },
    async whenThere(until) {
      while (!until.aborted && !signal.aborted) {
        const pauseMs = notBefore - performance.now();
        if (pauseMs > 0) {
          await sleep(pauseMs, undefined, { signal: until }).catch(() => {});
          continue;
        }
        const state = stateNow();
        if (state === connectivityState.READY) return;
        await changed(current, state, Date.now() + connectMs);
        if (stateOf(current, false) !== connectivityState.READY) takeNext();
      }
    },
    answered() {
      failures = 0;
    },
    failed() {
      notBefore = performance.now() + backoffMs(failures++);
      takeNext();
    },
  };
}

/** Of a name with several addresses any is taken, and they are asked for anew when a connection is. */
const linkOptions = {
  ...grpcOptions,
  "grpc.service_config": JSON.stringify({
    loadBalancingConfig: [{ pick_first: { shuffleAddressList: true } }],
  }),
  "grpc.dns_min_time_between_resolutions_ms": 2000,
};

function anyOf(clients: readonly Client[]): Client {
  return clients[Math.floor(Math.random() * clients.length)]!;
}
