// The upstream of bench/gateway-endurance.ts: an echo, an endless body, or a few bytes. Prints its port.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { pipeline, Readable } from "node:stream";

const large = Buffer.alloc(256 * 1024, "x");
function* endless(): Generator<Buffer> {
  for (;;) yield large;
}

const server = createServer((request, response) => {
  if (request.method === "POST") request.pipe(response);
  else if (request.url !== "/endless") response.end("hello\n");
  else pipeline(Readable.from(endless()), response, () => {});
});
server.listen(0, "127.0.0.1", () => console.log((server.address() as AddressInfo).port));
