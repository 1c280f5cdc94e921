import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { compileRoutes } from "../../src/gateway/compile-routes.ts";
import { type FormatOperator, headerNames } from "../../src/gateway/format.ts";
import { applyHeaderEdits, headerRules } from "../../src/gateway/header-rules.ts";
import {
  directLocation,
  redirectLocation,
  rewrittenHost,
  rewrittenPath,
} from "../../src/gateway/rewrites.ts";
import { isGrpc } from "../../src/gateway/route-match.ts";
import type { RouteTable, SelectedRoute } from "../../src/gateway/route-table.ts";
import { selectRoute } from "../../src/gateway/select-route.ts";
import { RouteConfigurationSchema } from "../../src/gen/envoy/config/route/v3/route_pb.ts";
import { HeaderMap } from "../../src/proxy-wasm/header-map.ts";
import { requirePeers } from "../peers/peers.ts";
import { type Program, startProgram } from "../peers/program.ts";
import { randomRouting, type TestRequest } from "./random-routes.ts";

/** What is compared: of a forwarded request, what the upstream saw. */
interface Outcome {
  readonly status: number;
  readonly body?: string;
  readonly location?: string | undefined;
  readonly upstream?: { readonly path: string; readonly host: string; readonly headers: readonly string[] };
}

/** In place of the status: gRPC requests get one of gRPC where there is no upstream. */
const grpcAnswer = -1;

const seed = Number(process.env.WASMLINE_TEST_SEED ?? 1);
const requestsPerTable = 15;
const cases = randomRouting(seed, Number(process.env.WASMLINE_TEST_TABLES ?? 24), requestsPerTable);

let dir: string;
let envoy: Program;
const socketOf = (index: number) => join(dir, `${index}.sock`);
/** Answers with what it was asked. */
const upstream = createServer((request, response) => {
  const headers: string[] = [];
  for (let i = 0; i < request.rawHeaders.length; i += 2) {
    headers.push(`${request.rawHeaders[i]!.toLowerCase()}: ${request.rawHeaders[i + 1]}`);
  }
  response.setHeader("x-upstream", "yes");
  response.end(
    JSON.stringify({ path: request.url, host: request.headers.host ?? "", headers: seen(headers) }),
  );
});

/** The headers that the configurations change, in an order of their own. */
function seen(lines: readonly string[]): string[] {
  return lines.filter((line) => /^(x-a|x-b|x-new|x-none|x-envoy-original-path):/.test(line)).sort();
}

before(async () => {
  dir = await mkdtemp(join(tmpdir(), "wasmline-"));
  await new Promise<void>((resolve) => upstream.listen(join(dir, "up.sock"), resolve));
  const config = join(dir, "envoy.json");
  await writeFile(config, JSON.stringify(bootstrap()));
  const peers = await requirePeers();
  envoy = startProgram(peers.envoy, ["-c", config, "--concurrency", "1", "--disable-hot-restart"]);
  await envoy.waitFor("stderr", /starting main dispatch loop/);
});

after(async () => {
  await envoy?.stop("SIGKILL");
  upstream.close();
  upstream.closeAllConnections();
  await rm(dir, { recursive: true, force: true });
});

function bootstrap(): object {
  const pipe = (path: string) => ({ pipe: { path } });
  const typed = (type: string, fields: object) => ({
    "@type": `type.googleapis.com/envoy.extensions.filters.${type}`,
    ...fields,
  });
  const listeners = cases.map(({ table }, index) => ({
    name: String(index),
    address: pipe(socketOf(index)),
    filter_chains: [
      {
        filters: [
          {
            name: "http",
            typed_config: typed("network.http_connection_manager.v3.HttpConnectionManager", {
              stat_prefix: "http",
              route_config: { ...table, validate_clusters: false },
              http_filters: [{ name: "router", typed_config: typed("http.router.v3.Router", {}) }],
            }),
          },
        ],
      },
    ],
  }));
  const endpoint = { address: pipe(join(dir, "up.sock")) };
  const cluster = {
    name: "echo",
    type: "STATIC",
    load_assignment: { cluster_name: "echo", endpoints: [{ lb_endpoints: [{ endpoint }] }] },
  };
  return { static_resources: { listeners, clusters: [cluster] } };
}

function ask(socketPath: string, { method, host, path, headers }: TestRequest): Promise<Outcome> {
  const lines = [["host", host], ...headers].flat();
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ socketPath, method, path, headers: lines, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const body = Buffer.concat(chunks).toString();
        const status = response.statusCode ?? 0;
        if (response.headers["x-upstream"]) return resolve({ status, upstream: JSON.parse(body) });
        const { "grpc-status": grpc, "grpc-message": message = "", location } = response.headers;
        if (grpc === undefined) return resolve({ status, body, location });
        resolve({ status: grpcAnswer, body: decodeURIComponent(String(message)), location });
      });
    });
    sent.on("error", reject);
    sent.end();
  });
}

function predict(table: RouteTable, request: TestRequest): Outcome {
  const proto = request.headers.find(([name]) => name === "x-forwarded-proto")?.[1] ?? "http";
  const headers = new HeaderMap();
  headers.setLines([
    [":authority", request.host],
    [":path", request.path],
    [":method", request.method],
    [":scheme", proto],
    ...request.headers.map(([name, value]) => [name, value.trim()] as const),
  ]);
  if (headers.get("x-forwarded-proto") === undefined) headers.add("x-forwarded-proto", proto);
  const selected = selectRoute(table, { headers, random: 0 });
  const answer = selected ? outcome(selected, headers) : { status: 404, body: "", location: undefined };
  return isGrpc(headers) && !answer.upstream ? { ...answer, status: grpcAnswer } : answer;
}

function outcome(selected: SelectedRoute, headers: HeaderMap): Outcome {
  const { action, cluster } = selected;
  if (action.kind === "https") return { status: 301, body: "", location: redirectLocation(action, headers) };
  if (action.kind === "redirect")
    return { status: action.status, body: "", location: redirectLocation(action, headers) };
  if (action.kind === "direct") {
    const location = action.status === 302 ? directLocation(headers) : undefined;
    return { status: action.status, body: Buffer.from(action.body).toString(), location };
  }
  if (cluster !== "echo") return { status: action.clusterNotFoundStatus, body: "", location: undefined };
  const values = (operator: FormatOperator) => {
    const name = headerNames(operator).find((each) => headers.get(each) !== undefined);
    return name === undefined ? undefined : headers.get(name);
  };
  for (const rules of headerRules(selected)) applyHeaderEdits(headers, rules.request, values);
  const host = rewrittenHost(selected, headers);
  if (typeof host === "string") headers.replace(":authority", host);
  const path = headers.get(":path")!;
  const newPath = rewrittenPath(action, path);
  if (newPath !== undefined) headers.replace("x-envoy-original-path", path);
  return {
    status: 200,
    upstream: {
      path: newPath ?? path,
      host: headers.get(":authority")!,
      headers: seen(headers.lines.map(([name, value]) => `${name}: ${value}`)),
    },
  };
}

test(`the gateway routes as Envoy does (seed ${seed})`, async () => {
  const kinds = new Map<string, number>();
  const differences: object[] = [];
  for (const [index, { table, requests }] of cases.entries()) {
    const compiled = compileRoutes(fromJson(RouteConfigurationSchema, table as JsonObject));
    for (const request of requests) {
      const [expected, actual] = [await ask(socketOf(index), request), predict(compiled, request)];
      const kind = expected.upstream ? "forwarded" : String(expected.status);
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
      if (!isSame(actual, expected))
        differences.push({ table: index, request, envoy: expected, gateway: actual });
    }
  }
  assert.deepEqual(differences.slice(0, 5), [], `${differences.length} differences`);
  for (const kind of ["forwarded", "200", "301", "302", "404"])
    assert.ok(kinds.get(kind), `no case was ${kind}`);
});

function isSame(a: Outcome, b: Outcome): boolean {
  try {
    assert.deepEqual(a, b);
    return true;
  } catch {
    return false;
  }
}
