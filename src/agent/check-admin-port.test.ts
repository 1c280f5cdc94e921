import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { freePort } from "../../test/peers/ports.ts";
import { checkAdminPort } from "./check-admin-port.ts";

test("a port that is taken is an error that names it and what to do", async (t) => {
  const port = await freePort();
  const other = createServer().listen(port, "127.0.0.1");
  await once(other, "listening");
  t.after(() => other.close());
  await assert.rejects(checkAdminPort("127.0.0.1", port), {
    name: "SystemError",
    code: "network",
    message: new RegExp(`127\\.0\\.0\\.1:${port}: another program has the port .*--admin-port`),
  });
});

test("a port that becomes free is free, and left so", async () => {
  const port = await freePort();
  const other = createServer().listen(port, "127.0.0.1");
  await once(other, "listening");
  const checked = checkAdminPort("127.0.0.1", port);
  other.close();
  await checked;
  const own = createServer().listen(port, "127.0.0.1");
  await once(own, "listening");
  own.close();
});

test("an address that is not this machine's is another error", async () => {
  await assert.rejects(checkAdminPort("192.0.2.1", await freePort()), {
    code: "network",
    message: /EADDRNOTAVAIL/,
  });
});
