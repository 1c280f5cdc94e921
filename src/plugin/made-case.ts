import type { CaseRun, NamedModule } from "./job.ts";
import { anyRequest } from "./run-case.ts";
import type { HeaderPair, TestMessage } from "./test-file.ts";

/** A request that somebody describes in a few words. What is left out is a GET of / without a body. */
export interface MadeRequest {
  readonly headers?: readonly HeaderPair[];
  readonly body?: string;
  /** What the upstream answers; an empty 200 if it is left out. */
  readonly status?: number;
}

/** A case without a file: a module, its configuration, a request and a response. */
export function makeCase(module: NamedModule, config: string, made: MadeRequest = {}): CaseRun {
  const { headers = [], body, status = 200 } = made;
  const given = new Set(headers.map(([name]) => name.toLowerCase()));
  const request: TestMessage = {
    headers: [
      ...anyRequest.headers.map(
        ([name, value]) => headers.find((each) => each[0] === name) ?? ([name, value] as const),
      ),
      ...headers.filter(([name]) => !anyRequest.headers.some((each) => each[0] === name)),
      ...(body !== undefined && !given.has("content-length")
        ? [["content-length", String(Buffer.byteLength(body))] as const]
        : []),
    ],
    ...(body !== undefined && { body: [Buffer.from(body)] }),
  };
  const response = { headers: [[":status", String(status)]] } as const;
  const test = {
    name: "a request",
    config,
    properties: {},
    request,
    response,
    calls: [],
    expect: {},
    line: 1,
    column: 1,
  };
  return { file: module.name, module, vmConfig: "", env: {}, test };
}
