import assert from "node:assert/strict";
import { createServer, type IncomingMessage } from "node:http";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { fc, fuzzRuns } from "../../test/peers/properties.ts";
import { ProtocolError } from "./header-text.ts";
import { createRequestParser, type ParsedRequest } from "./request-parser.ts";

/** A request as it is written, or as somebody has read it. */
interface Message {
  readonly method: string;
  readonly target: string;
  readonly protocol: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
  readonly trailers: readonly (readonly [string, string])[];
}

interface Reading {
  readonly messages: readonly Message[];
  /** What came behind them is no request. */
  readonly isBroken: boolean;
}

const limits = { maxHeadBytes: 8192, maxHeaders: 20 };

/**
 * Reads parts as a connection does with our parser: nothing behind a request that its client says is the last. Requests
 * that did not come whole are left out.
 */
function read(parts: readonly Buffer[]): Reading {
  const messages: Message[] = [];
  let request: ParsedRequest | undefined;
  let isLast = false;
  let body = "";
  const end = (trailers: Message["trailers"]) => {
    const { method, target, protocol, lines, keepsAlive } = request!;
    isLast = !keepsAlive;
    messages.push({ method, target, protocol, headers: lines, body, trailers });
    body = "";
  };
  const parser = createRequestParser(
    {
      onRequest(begun) {
        request = begun;
        if (!begun.hasBody) end([]);
      },
      onData(bytes, endOfStream) {
        body += bytes.toString("latin1");
        if (endOfStream) end([]);
      },
      onTrailers: ({ lines }) => end(lines),
    },
    () => limits,
  );
  try {
    for (const part of parts) {
      // The parser may not keep a view of what it was given.
      const own = Buffer.from(part);
      for (let rest = own; rest.length > 0 && !isLast; ) {
        const next = parser.push(rest);
        assert.ok(next.length < rest.length, "the parser does not stand still");
        rest = next as Buffer<ArrayBuffer>;
      }
      own.fill(0);
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return { messages, isBroken: true };
  }
  return { messages, isBroken: false };
}

/** Reads bytes as Node's server does. */
async function readByNode(bytes: Buffer): Promise<Reading> {
  const found: Promise<Message>[] = [];
  let isBroken = false;
  const server = createServer({ requireHostHeader: false, keepAliveTimeout: 0 }, (request, response) => {
    const message = messageOf(request);
    found.push(message);
    message.then(
      () => response.end(),
      () => {},
    );
  });
  // What has ended is answered.
  Object.assign(server, { httpAllowHalfOpen: true });
  const socket = new Duplex({ read() {}, write: (_part, _encoding, done) => done() });
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  server.on("clientError", () => {
    isBroken = true;
    // What came whole before is on its way to its reader.
    setImmediate(() => setImmediate(() => socket.destroy()));
  });
  server.emit("connection", socket);
  socket.push(bytes);
  socket.push(null);
  await closed;
  const messages = await Promise.allSettled(found);
  return {
    messages: messages.flatMap((each) => (each.status === "fulfilled" ? [each.value] : [])),
    isBroken,
  };
}

async function messageOf(request: IncomingMessage): Promise<Message> {
  let body = "";
  for await (const part of request) body += (part as Buffer).toString("latin1");
  return {
    method: request.method!,
    target: request.url!,
    protocol: `HTTP/${request.httpVersion}`,
    headers: pairs(request.rawHeaders),
    body,
    trailers: pairs(request.rawTrailers),
  };
}

function pairs(raw: readonly string[]): [string, string][] {
  return raw.flatMap((name, i) =>
    i % 2 === 0 ? [[name.toLowerCase(), raw[i + 1]!] as [string, string]] : [],
  );
}

const characters = (text: string, length: { minLength?: number; maxLength: number }) =>
  fc.string({ unit: fc.constantFrom(...text), ...length });
const valueText = characters("aZ09 ,;:=\"'\t()/\xe9\xff", { maxLength: 12 });
const header = fc.tuple(
  characters("abXY-_!09", { minLength: 1, maxLength: 20 }).map((name) => `x${name}`),
  valueText,
);
const bytesText = fc.string({
  unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
});

interface Written {
  readonly text: string;
  readonly message: Message;
}

const request: fc.Arbitrary<Written> = fc
  .record({
    method: fc.constantFrom("GET", "POST", "PUT", "M-SEARCH", "OPTIONS"),
    target: characters("ab/?&=%20.~", { maxLength: 20 }).map((text) => `/${text}`),
    headers: fc.array(header, { maxLength: 6 }),
    body: fc.option(bytesText),
    chunks: fc.option(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 })),
    extension: fc.constantFrom("", ";a", ';a="b c"'),
    trailers: fc.array(header, { maxLength: 2 }),
    blank: fc.constantFrom("", " ", "\t "),
    before: fc.constantFrom("", "\r\n"),
  })
  .map(({ method, target, headers, body, chunks, extension, trailers, blank, before }) => {
    const framing: [string, string][] =
      body === null
        ? []
        : chunks
          ? [["Transfer-Encoding", "chunked"]]
          : [["Content-Length", String(body.length)]];
    const all = [...headers, ...framing];
    // Node knows no tabs around a length.
    const framingText = framing.map(([name, value]) => `${name}: ${value}\r\n`).join("");
    const isChunked = body !== null && chunks !== null;
    const head = `${before}${method} ${target} HTTP/1.1\r\n${linesOf(headers, blank)}${framingText}\r\n`;
    return {
      text: head + (isChunked ? chunked(body, chunks, extension, linesOf(trailers, blank)) : (body ?? "")),
      message: {
        method,
        target,
        protocol: "HTTP/1.1",
        headers: all.map(asRead),
        body: body ?? "",
        trailers: isChunked ? trailers.map(asRead) : [],
      },
    };
  });

function linesOf(headers: readonly (readonly [string, string])[], blank: string): string {
  return headers.map(([name, value]) => `${name}:${blank}${value}${blank}\r\n`).join("");
}

function asRead([name, value]: readonly [string, string]): [string, string] {
  return [name.toLowerCase(), value.replace(/^[ \t]+|[ \t]+$/g, "")];
}

function chunked(body: string, sizes: readonly number[], extension: string, trailers: string): string {
  let text = "";
  for (let at = 0, i = 0; at < body.length; i++) {
    const part = body.slice(at, at + sizes[i % sizes.length]!);
    text += `${part.length.toString(16)}${extension}\r\n${part}\r\n`;
    at += part.length;
  }
  return `${text}0${extension}\r\n${trailers}\r\n`;
}

/** Cuts bytes at the places that a list of lengths says, again and again. */
function cut(bytes: Buffer, lengths: readonly number[]): Buffer[] {
  const parts: Buffer[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const end = at + lengths[i % lengths.length]!;
    parts.push(bytes.subarray(at, end));
    at = end;
  }
  return parts;
}

const cuts = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 8 });
const latin1 = (text: string) => Buffer.from(text, "latin1");

test("requests are the same however their bytes are cut, and Node reads them so too", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 4 }), cuts, async (requests, lengths) => {
      const bytes = latin1(requests.map(({ text }) => text).join(""));
      const expected = { messages: requests.map(({ message }) => message), isBroken: false };
      assert.deepEqual(read([bytes]), expected);
      assert.deepEqual(read(cut(bytes, lengths)), expected);
      assert.deepEqual(await readByNode(bytes), expected);
    }),
    { numRuns: fuzzRuns(300) },
  );
});

/** Requests with some bytes changed, left out or put in. */
const damaged = fc
  .record({
    requests: fc.array(request, { minLength: 1, maxLength: 3 }),
    edits: fc.array(
      fc.record({
        at: fc.nat(),
        remove: fc.nat({ max: 2 }),
        insert: fc.oneof(
          fc.constantFrom("\r", "\n", "\r\n", "\0", " ", "\t", ":", ";", "0", "f", "+", ",", "\x7f", "\r\n "),
          bytesText,
        ),
      }),
      { minLength: 1, maxLength: 4 },
    ),
  })
  .map(({ requests, edits }) => {
    let text = requests.map((each) => each.text).join("");
    for (const { at, remove, insert } of edits) {
      const place = at % (text.length + 1);
      text = text.slice(0, place) + insert + text.slice(place + remove);
    }
    return text;
  });

test("broken bytes are refused in whatever parts they come, and nothing is taken that Node refuses", async () => {
  await fc.assert(
    fc.asyncProperty(fc.oneof({ weight: 4, arbitrary: damaged }, bytesText), cuts, async (text, lengths) => {
      // Node knows no tabs around what says how long a body is.
      fc.pre(!/(encoding|length):[^\r\n]*\t/i.test(text));
      const bytes = latin1(text);
      const whole = read([bytes]);
      assert.deepEqual(read(cut(bytes, lengths)), whole);
      const theirs = await readByNode(bytes);
      // Other targets than paths are looked at later, and most refused.
      const other = whole.messages.findIndex(({ target }) => !target.startsWith("/"));
      const taken = other < 0 ? whole.messages : whole.messages.slice(0, other);
      // We may stop before Node does; as far as we go, we read what it reads.
      assert.deepEqual(taken, theirs.messages.slice(0, taken.length));
    }),
    { numRuns: fuzzRuns(1000), examples: [["GET / HTTP/1.0\r\n\r\nGET / HTTP/1.1\r\n\r\n", [1]]] },
  );
});

test("bytes that cannot become a request are refused before the rest has come", () => {
  const refused = [
    "\x16\x03\x01",
    "FOO",
    "get ",
    "GET\t",
    "GET / HTTP/1.1\n",
    "GET / HTTP/1.1\r\nHost: a\n",
    "GET / HTTP/1.1\r\nHost: a\rb",
    "GET / HTTP/1.1\r\nHost: \0",
    `GET /${"a".repeat(limits.maxHeadBytes)}`,
  ];
  for (const text of refused) assert.ok(read([latin1(text)]).isBroken, text);
  for (const text of [
    "",
    "\r",
    "\r\n\r\n",
    "\n",
    "M-S",
    "GET",
    "GET /a",
    "GET / HTTP/1.1\r",
    "GET / HTTP/1.1\r\nX:",
  ])
    assert.ok(!read([latin1(text)]).isBroken, text);
});

test("what two programs could read in two ways is refused", () => {
  const refused = [
    "Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n1;\r\na\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n1 ;a\r\na\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 1\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0\r\nHost: b\r\n\r\n",
    "X: a\r\n b\r\n\r\n",
    "X : a\r\n\r\n",
  ];
  for (const text of refused) assert.ok(read([latin1(`POST / HTTP/1.1\r\n${text}`)]).isBroken, text);
  for (const line of [
    "GET  / HTTP/1.1",
    "GET /  HTTP/1.1",
    "GET / HTTP/1.1 ",
    "GET /\x80 HTTP/1.1",
    "GET / HTTP/1.2",
  ])
    assert.ok(read([latin1(`${line}\r\n\r\n`)]).isBroken, line);
});
