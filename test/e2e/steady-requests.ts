import { Agent } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { type Answer, get } from "../peers/request.ts";

export const steadyConnections = 2;

/** Requests one after the other on each of a few keep-alive connections, each answer looked at, until `finish`. */
export interface SteadyRequests {
  /** How many were answered so far, or failed. */
  readonly answers: number;
  /** Ends them. Fails unless there were answers and each was as expected. */
  finish(): Promise<void>;
}

const maxComplaints = 5;

/** Starts requests. `complaint` says what is wrong with an answer, "" where nothing is. */
export function startSteadyRequests(
  port: number,
  host: string,
  complaint: (answer: Answer) => string,
): SteadyRequests {
  const agent = new Agent({ keepAlive: true, maxSockets: steadyConnections });
  return repeatSteadily(() => get(port, "/", host, agent).then(complaint), {
    // They are to be there all the time, not to take the processor from what they look at.
    pauseMs: 5,
    end: () => agent.destroy(),
  });
}

/** Does the same again and again, on each of a few strands, until `finish`. It gives what is wrong, "" where nothing is. */
export function repeatSteadily(
  once: () => Promise<string>,
  { pauseMs, end }: { readonly pauseMs: number; readonly end?: () => void },
): SteadyRequests {
  const complaints: string[] = [];
  let answers = 0;
  let isOver = false;

  async function run(): Promise<void> {
    while (!isOver) {
      const wrong = await once().catch((error) => `no answer: ${error}`);
      answers++;
      if (wrong !== "" && complaints.length < maxComplaints)
        complaints.push(`answer ${answers}, ${new Date().toISOString()}: ${wrong}`);
      await pause(pauseMs);
    }
  }

  const runs = Array.from({ length: steadyConnections }, run);
  return {
    get answers() {
      return answers;
    },
    async finish() {
      isOver = true;
      await Promise.all(runs);
      end?.();
      if (answers === 0 || complaints.length > 0)
        throw new Error(`${answers} answers, of which some were wrong:\n${complaints.join("\n")}`);
    },
  };
}
