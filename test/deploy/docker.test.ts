// The images are built from the Dockerfile as it is, and run as the chart's Pods run them. The two images that it starts from
// are stand-ins (test/peers/base-images.ts): nothing is pulled from Docker Hub.
import assert from "node:assert/strict";
import { createReadStream, readFileSync } from "node:fs";
import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { before, suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { outcomes } from "../../examples/01-seed/chapter.ts";
import { runPodman } from "../peers/containers.ts";
import { runSkopeo, startDockerRegistry } from "../peers/docker-registry.ts";
import { onEachGateway } from "../peers/gateways.ts";
import { secretOfBuilds } from "../peers/npm-secrets.ts";
import { startWasmline } from "../peers/program.ts";
import { get } from "../peers/request.ts";
import { layOutSeed, type SeedFiles } from "../peers/seed-system.ts";
import { until } from "../peers/until.ts";
import { buildTarget, type WasmlineImages, wasmlineImages } from "../peers/wasmline-image.ts";
import { startContainer } from "./container.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const pluginImages = join(root, "build/images");
const names = ["wasmline", "wasmline-envoy"] as const;
/** Within this time a container runs what it was started for, on a machine that has other things to do. */
const startMs = 60_000;

/** What podman says about an image. */
interface Inspected {
  readonly Id: string;
  readonly Size: number;
  readonly RootFS: { readonly Layers: readonly string[] };
  readonly Labels: Readonly<Record<string, string>>;
  readonly Config: {
    readonly User: string;
    readonly Env: readonly string[];
    readonly Entrypoint: readonly string[];
    readonly Cmd: readonly string[];
  };
}

suite("the images", () => {
  let built: WasmlineImages;
  const imageOf = (name: (typeof names)[number]) => `localhost/${name}:${built.tag}`;
  const inspect = async (image: string): Promise<Inspected> =>
    JSON.parse(await runPodman("image", "inspect", image))[0];

  before(async () => {
    built = await wasmlineImages();
    for (const archive of [built.wasmline, built.wasmlineEnvoy])
      await runPodman("load", "--quiet", "--input", archive);
  });

  test("bases are of one version each", () => {
    const text = readFileSync(join(root, "deploy/docker/Dockerfile"), "utf8");
    const bases = [...text.matchAll(/^ARG (\S+)_IMAGE=(\S+)$/gm)];
    assert.deepEqual(
      bases.map(([, name]) => name),
      ["NODE", "ENVOY"],
    );
    for (const [, , image] of bases) assert.match(image!, /:v?\d+\.\d+\.\d+/);
  });

  test("they say what they are, and are nobody's, by number", async (t) => {
    const { version, license } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    const [plain, envoy] = await Promise.all(names.map((name) => inspect(imageOf(name))));
    for (const [index, { Config, Labels, Size }] of [plain!, envoy!].entries()) {
      assert.equal(Config.User, "65532:65532");
      assert.deepEqual(Config.Entrypoint, ["node", "/app/dist/cli/main.js"]);
      assert.equal(Labels["org.opencontainers.image.title"], names[index]);
      assert.equal(Labels["org.opencontainers.image.version"], version);
      assert.equal(Labels["org.opencontainers.image.licenses"], license);
      t.diagnostic(`${names[index]}: ${Math.round(Size / 1e6)} MB`);
    }
    assert.deepEqual(plain!.Config.Cmd, ["--help"]);
    assert.deepEqual(envoy!.Config.Cmd, ["agent"]);
    // Who has one of them fetches Envoy alone for the other.
    assert.deepEqual(envoy!.RootFS.Layers.slice(0, -1), plain!.RootFS.Layers);
  });

  test("the same source makes the same bytes", async () => {
    const again = `localhost/again:${built.tag}`;
    await buildTarget("wasmline", again, ["--layers", "--no-cache"]);
    assert.equal((await inspect(again)).Id, (await inspect(imageOf("wasmline"))).Id);
    await runPodman("untag", again, again);
  });

  test("no layer holds what the build was trusted with", async () => {
    for (const archive of [built.wasmline, built.wasmlineEnvoy])
      assert.equal(await holds(archive, secretOfBuilds), false, archive);
    // The search finds what is there.
    assert.equal(await holds(built.wasmline, "Makes Wasm plugins take effect"), true);
  });

  test("what is for developers only is left out, and nothing belongs to who runs it", async (t) => {
    const script = `
      find /app/dist /app/node_modules -name '*.test.*' -o -name '*.map' -o -name '*.d.ts'
      cd /app/node_modules && ls -d typescript tsx @biomejs assemblyscript binaryen 2>/dev/null
      find /app /usr/local /root /run -name npm -o -name npx -o -name .npmrc -o -name .git -o -path '/run/secrets/*'
      find /app -user 65532 -o ! -type l -perm /022
      ls /app`;
    const shell = startContainer(t, imageOf("wasmline"), ["-c", script], { entrypoint: "sh" });
    assert.equal(await shell.ended, 0, shell.stderr());
    const folders = ["LICENSE", "api", "dist", "node_modules", "package.json", "sdk", "templates"];
    assert.deepEqual(shell.stdout().trim().split("\n"), folders);
  });

  test("the program says what it can", async (t) => {
    for (const name of names) {
      const help = startContainer(t, imageOf(name), ["--help"]);
      assert.equal(await help.ended, 0, help.stderr());
      assert.match(help.stdout(), /core.*\n(.*\n)*.*discovery/);
    }
  });

  test("nothing can be written, and there is no right to take", async (t) => {
    const script = "touch /app/x /tmp/x /run/x; id -u; grep -E 'Cap|NoNewPrivs' /proc/self/status";
    const shell = startContainer(t, imageOf("wasmline"), ["-c", script], { entrypoint: "sh" });
    await shell.ended;
    assert.equal(shell.stderr().match(/Read-only file system/g)?.length, 3, shell.stderr());
    const [user, ...status] = shell.stdout().trim().split("\n");
    assert.equal(user, "65532");
    assert.deepEqual(
      status.map((line) => line.split("\t")[1]),
      [...Array(5).fill("0000000000000000"), "1"],
    );
  });

  test("a registry takes them and gives them back", async (t) => {
    const registry = await startDockerRegistry();
    t.after(() => registry.stop());
    for (const name of names) {
      const remote = `${registry.host}/edge/${name}:${built.tag}`;
      await runPodman("push", "--quiet", "--tls-verify=false", imageOf(name), remote);
      const manifest = JSON.parse(
        await runSkopeo("inspect", "--raw", "--tls-verify=false", `docker://${remote}`),
      );
      const bytes = manifest.layers.reduce((sum: number, { size }: { size: number }) => sum + size, 0);
      t.diagnostic(`${name}: ${Math.round(bytes / 1e6)} MB to pull, ${manifest.layers.length} layers`);
      const seen = JSON.parse(await runSkopeo("inspect", "--tls-verify=false", `docker://${remote}`));
      assert.equal(seen.Labels["org.opencontainers.image.title"], name);
      await runPodman("pull", "--quiet", "--tls-verify=false", remote);
      assert.equal((await inspect(remote)).Id, (await inspect(imageOf(name))).Id);
      await runPodman("untag", remote, remote);
    }
  });

  onEachGateway((gateway) => {
    const image = () => imageOf(gateway === "envoy" ? "wasmline-envoy" : "wasmline");
    const { host, body } = outcomes[1]!;
    let files: SeedFiles;
    const layOut = async () => {
      files = await layOutSeed(gateway);
      await mkdir(files.dataDir);
      await chmod(files.dataDir, 0o777);
    };
    const mounts = () => [
      { path: files.dir, readOnly: true },
      { path: files.dataDir, readOnly: false },
      { path: pluginImages, readOnly: true },
    ];
    const mirror = () => files.flags[files.flags.indexOf("--registry-mirror") + 1]!;

    test("the chapter's plugin answers in one container without a network", async (t) => {
      await layOut();
      t.after(() => files.close());
      const up = startContainer(
        t,
        image(),
        [
          ...["up", "-f", files.dir, "--data-dir", files.dataDir, "--port-offset", String(files.offset)],
          ...["--gateway", gateway, "--concurrency", "1"],
          ...["--registry-mirror", mirror(), "--layout", pluginImages],
        ],
        { mounts: mounts() },
      );
      await up.waitFor("stdout", /^ready .*$/m);
      assert.equal(await getWithin(up.name, files.trafficPort, host), body);
      assert.equal(await up.stop(), 0, up.stderr());
    });

    test("each role runs in a container of its own, and the agent is ready when its gateway is", async (t) => {
      await layOut();
      t.after(() => files.close());
      const offset = ["--port-offset", String(files.offset)];
      const start = (from: string, ...flags: readonly string[]) =>
        startContainer(t, from, [...flags, ...offset], { mounts: mounts(), network: "host" });
      const registry = startWasmline(["registry", ...offset, "--layout", pluginImages]);
      t.after(() => registry.stop());
      start(imageOf("wasmline"), "core", "-f", files.dir);
      start(imageOf("wasmline"), "discovery");
      const data = ["--data-dir", files.dataDir];
      const own =
        gateway === "envoy"
          ? ["--admin-bind", "127.0.0.1", "--concurrency", "1"]
          : ["--no-envoy", "--gateway-abi", "higress", "--gateway-admin", `127.0.0.1:${files.adminPort}`];
      start(image(), "agent", "--registry-mirror", mirror(), ...data, ...own);
      const ready = async () =>
        (await fetch(`http://127.0.0.1:${15020 + files.offset}/healthz/ready`)).status;
      if (gateway === "embedded") {
        assert.equal(await until("the agent answers", () => ready().catch(() => undefined), startMs), 503);
        start(image(), "gateway", ...data, "--concurrency", "1");
      }
      await until("the agent is ready", async () => (await ready()) === 200, startMs);
      await until("the plugin answers", async () => (await get(files.trafficPort, "/", host)).body === body);
    });
  });
});

/** Whether a file has a text in it. */
async function holds(file: string, text: string): Promise<boolean> {
  let end = Buffer.alloc(0);
  for await (const chunk of createReadStream(file, { highWaterMark: 4 * 1024 * 1024 })) {
    const all = Buffer.concat([end, chunk as Buffer]);
    if (all.includes(text)) return true;
    end = all.subarray(-text.length);
  }
  return false;
}

/** The body of an answer to a GET from within a container, where its own loopback is. */
function getWithin(container: string, port: number, host: string): Promise<string> {
  const script = `
    const [port, host] = process.argv.slice(1);
    require("node:http").get({ host: "127.0.0.1", port, headers: { host } }, (answer) => answer.pipe(process.stdout));`;
  return runPodman("exec", container, "node", "-e", script, String(port), host);
}
