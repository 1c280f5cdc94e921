import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { freePort } from "./ports.ts";

test("what one program has taken no other gets, whoever listens there or not", async () => {
  const own = await Promise.all(Array.from({ length: 300 }, freePort));
  assert.equal(new Set(own).size, own.length);
  const program = `import { freePort } from ${JSON.stringify(new URL("./ports.ts", import.meta.url).href)};
    console.log(JSON.stringify(await Promise.all(Array.from({ length: 1000 }, freePort))));`;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--import", "tsx", "--input-type=module", "--eval", program],
    { maxBuffer: 2 ** 20 },
  );
  const others = new Set(JSON.parse(stdout) as number[]);
  assert.equal(others.size, 1000);
  assert.deepEqual(
    own.filter((port) => others.has(port)),
    [],
  );
});
