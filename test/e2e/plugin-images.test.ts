// The images of the four plugins: what a build of a plugin's folder packs is what an installation brings, a registry of others
// holds it as Higress' consoles look for it, and from there the chapter's chain comes into effect.
import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { digestOf } from "../../src/oci/digest.ts";
import { readLayout } from "../../src/oci/image-layout.ts";
import { type DockerRegistry, runSkopeo, startDockerRegistry } from "../peers/docker-registry.ts";
import { gateways } from "../peers/gateways.ts";
import { startWasmline } from "../peers/program.ts";
import { get } from "../peers/request.ts";
import { layOutSeed } from "../peers/seed-system.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const images = join(root, "build/images");
const plugins = ["custom-response", "easy-logger", "key-auth", "transformer"];
const layers = {
  "spec.yaml": "application/vnd.module.wasm.spec.v1+yaml",
  "README.md": "application/vnd.module.wasm.doc.v1+markdown",
  "README_ZH.md": "application/vnd.module.wasm.doc.v1.zh+markdown",
  "icon.png": "application/vnd.module.wasm.icon.v1+png",
  "plugin.tar.gz": "application/vnd.oci.image.layer.v1.tar+gzip",
};

let dir = "";
let registry: DockerRegistry;
before(async () => {
  dir = await mkdtemp(join(tmpdir(), "plugin-images-"));
  registry = await startDockerRegistry();
});
after(async () => {
  await registry.stop();
  await rm(dir, { recursive: true });
});

/** Runs `wasmline plugin …`; gives what it prints on stdout. */
async function run(...args: readonly string[]): Promise<string> {
  const program = startWasmline(["plugin", ...args], { DOCKER_CONFIG: dir });
  assert.equal(await program.ended, 0, program.stderr());
  return program.stdout().trim();
}

function packedDigest(name: string): string | undefined {
  return readLayout(images).find((entry) => entry.name === `plugins/${name}:1.0.0`)?.descriptor.digest;
}

for (const name of plugins)
  suite(name, () => {
    const target = () => `${registry.host}/plugins/${name}:1.0.0`;

    test("a build of its folder gives the image that an installation brings", async () => {
      const folder = join(dir, name);
      await cp(join(root, "plugins", name), folder, { recursive: true });
      assert.equal(await run("build", folder), packedDigest(name));
    });

    test("a registry has it in Higress' layout, and gives it back", async () => {
      assert.equal(await run("push", join(dir, name), target()), packedDigest(name));
      const copy = join(dir, `copy-of-${name}`);
      await runSkopeo("copy", "-q", "--src-tls-verify=false", `docker://${target()}`, `dir:${copy}`);
      const manifest = JSON.parse(await readFile(join(copy, "manifest.json"), "utf8")) as {
        layers: { mediaType: string; digest: string; annotations: Record<string, string> }[];
      };
      const titles = manifest.layers.map(({ annotations, mediaType }) => [
        annotations["org.opencontainers.image.title"],
        mediaType,
      ]);
      assert.deepEqual(titles, Object.entries(layers));
      for (const { digest, annotations } of manifest.layers.slice(0, -1)) {
        const file = await readFile(
          join(root, "plugins", name, annotations["org.opencontainers.image.title"]!),
        );
        assert.equal(digest, digestOf(file));
        assert.deepEqual(await readFile(join(copy, digest.replace("sha256:", ""))), file);
      }
      const module = join(dir, `${name}.wasm`);
      assert.equal(await run("pull", target(), "-o", module), packedDigest(name));
      assert.deepEqual(await readFile(module), await readFile(join(root, "build/plugins", `${name}.wasm`)));
    });
  });

for (const gateway of gateways)
  test(`the chapter's chain comes into effect from there: ${gateway}`, async (context) => {
    const files = await layOutSeed(gateway);
    context.after(() => files.close());
    const flags = files.flags.map((flag) =>
      flag.replace(/^(higress-registry\..*)=.*$/, `$1=${registry.host}`),
    );
    const up = startWasmline(["up", "-f", files.dir, ...flags]);
    context.after(() => up.stop());
    await up.waitFor("stdout", /^ready .* 4 plugins in effect$/m);
    const { headers } = await get(files.trafficPort, "/", "other.com");
    assert.equal(headers.key1, "value1");
  });
