import assert from "node:assert/strict";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { goEnvironment } from "../../test/peers/go.ts";
import { requirePeers } from "../../test/peers/peers.ts";
import { startProgram } from "../../test/peers/program.ts";

const script = fileURLToPath(new URL("run.mjs", import.meta.url));

let env: NodeJS.ProcessEnv;
before(async () => {
  await requirePeers();
  env = await goEnvironment();
});

for (const language of ["assemblyscript", "go", "rust"]) {
  test(`${language}: from nothing to a plugin in effect on both gateways`, async () => {
    const run = startProgram(process.execPath, [script, language], env);
    assert.equal(await run.ended, 0, run.stderr());
    const lines = run.stdout().split("\n");
    assert.ok(lines.includes("4 passed, 0 failed"));
    const digests = lines.filter((line) => /^sha256:[0-9a-f]{64}$/.test(line));
    assert.deepEqual([digests.length, new Set(digests).size], [2, 1], "what was built is what was pushed");
    for (const gateway of ["embedded", "envoy"])
      assert.ok(lines.includes(`${gateway}: 200 x-greeting: hello from my-plugin`), run.stdout());
  });
}
