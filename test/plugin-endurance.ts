import { readFile } from "node:fs/promises";
import { buildPlugin } from "../sdk/test/modules.ts";
import {
  compileModule,
  createLocalOutside,
  createPluginHost,
  MemoryStream,
  type Message,
  type Plugin,
} from "../src/proxy-wasm/index.ts";

/** For a third of the requests. */
function ruleWith(config: object): object[] {
  return [{ _match_domain_: ["*.foo.com"], ...config }];
}

/** A configuration for each plugin that lets it do most of what it can. */
export const endurancePlugins: Readonly<Record<string, object>> = {
  "key-auth": {
    keys: ["x-api-key", "token"],
    in_query: true,
    consumers: [{ name: "alice", credential: "secret" }],
    _rules_: ruleWith({ allow: ["alice"] }),
  },
  "custom-response": {
    rules: [{ enable_on_status: [404], headers: ["a=b"], body: "none" }],
    _rules_: ruleWith({ body: "by rule" }),
  },
  transformer: {
    reqRules: [{ operate: "add", headers: [{ key: "x-added", value: "1" }] }],
    respRules: [{ operate: "remove", headers: [{ key: "x-gone" }] }],
  },
  "easy-logger": {
    fields: ["method", "path", "status", "flags", "response_headers", "request_body", "response_body"],
    body: { limit: 64 },
    _rules_: ruleWith({ fields: ["request_headers", "request_body"] }),
  },
};

const body = ['{"user":"a","password":"b",', '"text":"', "x".repeat(500), '"}'];

/** The request of a round: none is like the one before. */
function requestOf(round: number): Message {
  return {
    headers: [
      [":authority", round % 3 === 0 ? "a.foo.com" : "bar.com"],
      [":path", `/items/${round}?token=${round % 5 === 0 ? "secret" : round}`],
      [":method", "POST"],
      [":scheme", "http"],
      ["content-type", "application/json"],
      ["x-round", String(round)],
    ],
    body,
  };
}

function responseOf(round: number): Message {
  return {
    headers: [
      [":status", round % 7 === 0 ? "404" : "200"],
      ["content-type", "application/json"],
      ["x-gone", "1"],
    ],
    body,
  };
}

/** A plugin that counts its lines, and nothing else of what it logs is kept. */
export async function startEndurance(name: string): Promise<{ plugin: Plugin; lines(): number }> {
  let lines = 0;
  const host = createPluginHost(createLocalOutside({ log: () => lines++ }));
  const module = await compileModule(await readFile(await buildPlugin(name)), { name });
  const plugin = host.start({ name, module, configuration: JSON.stringify(endurancePlugins[name]) });
  return { plugin, lines: () => lines };
}

/** Sends requests through a plugin, one after the other. */
export function sendRequests(plugin: Plugin, from: number, to: number): void {
  for (let round = from; round < to; round++) {
    const stream = new MemoryStream([plugin]);
    stream.sendRequest(requestOf(round));
    if (stream.request?.complete) stream.sendResponse(responseOf(round));
    stream.end();
  }
}
