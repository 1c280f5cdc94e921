import assert from "node:assert/strict";
import { test } from "node:test";
import { createProgress } from "./progress.ts";

const blob = {
  mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
  digest: `sha256:${"0123456789ab".padEnd(64, "c")}`,
  size: 4096,
  annotations: { "org.opencontainers.image.title": "plugin.tar.gz" },
};

function draw(terminal: { isTTY: boolean; columns?: number }) {
  let text = "";
  const write = (part: string) => {
    text += part;
  };
  const progress = createProgress({ ...terminal, write });
  progress.start(blob);
  progress.add(2048);
  progress.end("uploaded");
  progress.add(1);
  return text.split("\r").slice(1);
}

test("a bar for each blob on a terminal, and its end on a line that stays", () => {
  const lines = draw({ isTTY: true, columns: 120 });
  const name = "0123456789ab plugin.tar.gz".padEnd(28);
  assert.equal(lines.at(0), `${name} [${".".repeat(16)}] 0 B of 4.0 KiB\x1b[K`);
  assert.equal(lines.at(-1), `${name} [${"#".repeat(16)}] 4.0 KiB of 4.0 KiB uploaded\x1b[K\n`);
});

test("a line never wraps", () => {
  for (const line of draw({ isTTY: true, columns: 30 })) assert.ok(line.replace("\x1b[K", "").length <= 30);
});

test("nothing where there is no terminal", () => {
  assert.deepEqual(draw({ isTTY: false }), []);
});
