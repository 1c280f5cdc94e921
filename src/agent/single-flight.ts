import { abortFailure } from "../oci/transport-error.ts";

/** Runs `work` once for all who ask with the same key at the same time. */
export type SingleFlight<T> = (
  key: string,
  doing: string,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
) => Promise<T>;

interface Flight<T> {
  readonly result: Promise<T>;
  readonly controller: AbortController;
  waiting: number;
}

/** Whoever aborts leaves alone; when the last one has left, the work is aborted and the next to ask begins anew. */
export function createSingleFlight<T>(): SingleFlight<T> {
  const flights = new Map<string, Flight<T>>();
  const begin = (key: string, work: (signal: AbortSignal) => Promise<T>): Flight<T> => {
    const controller = new AbortController();
    const flight: Flight<T> = { controller, result: work(controller.signal), waiting: 0 };
    flights.set(key, flight);
    const end = () => forget(key, flight);
    flight.result.then(end, end);
    return flight;
  };
  const forget = (key: string, flight: Flight<T>) => {
    if (flights.get(key) === flight) flights.delete(key);
  };
  return async (key, doing, signal, work) => {
    if (signal?.aborted) throw abortFailure(signal, doing);
    const flight = flights.get(key) ?? begin(key, work);
    flight.waiting++;
    try {
      return await orAborted(flight.result, doing, signal);
    } finally {
      flight.waiting--;
      if (flight.waiting === 0) {
        forget(key, flight);
        flight.controller.abort();
      }
    }
  };
}

async function orAborted<T>(result: Promise<T>, doing: string, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return result;
  const done = new AbortController();
  const aborted = new Promise<never>((_, reject) => {
    const leave = () => reject(abortFailure(signal, doing));
    signal.addEventListener("abort", leave, { once: true, signal: done.signal });
  });
  try {
    return await Promise.race([result, aborted]);
  } finally {
    done.abort();
  }
}
