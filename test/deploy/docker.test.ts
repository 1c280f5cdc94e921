// There is no Docker where tests run, so what a build does is done by hand: its steps in directories of this machine, and the
// outcome as its containers run it: another user, no rights, nothing writable but what is mounted.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { chmod, copyFile, cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, suite, test } from "node:test";
import { outcomes } from "../../examples/01-seed/chapter.ts";
import { onEachGateway } from "../peers/gateways.ts";
import { requirePeers } from "../peers/peers.ts";
import { startProgram, startWasmline } from "../peers/program.ts";
import { get } from "../peers/request.ts";
import { layOutSeed } from "../peers/seed-system.ts";
import { until } from "../peers/until.ts";
import { inContainer } from "./container.ts";
import { buildStage, isInContext, isSent, readCopy, readDockerfile, root } from "./dockerfile.ts";

const { arguments: args, stages } = readDockerfile();
const all = [...stages.values()];

suite("the images", () => {
  test("bases are of one version each, every stage that is named is there, every file copied is there and sent", () => {
    for (const [name, image] of args) assert.match(image, /:v?\d+\.\d+\.\d+/, name);
    for (const { base } of all)
      assert.ok(stages.has(base) || args.has(base.replace(/^\$\{(.*)\}$/, "$1")), base);
    for (const instruction of all.flatMap(({ instructions }) => instructions)) {
      if (instruction.keyword !== "COPY") continue;
      const { from, sources } = readCopy(instruction);
      if (from) assert.ok(stages.has(from), from);
      else
        for (const source of sources)
          assert.ok(isInContext(source) && isSent(source), `COPY ${source}: not there, or not sent`);
    }
  });

  test("what users run is nobody's, by number; no test, no generated code and no git history is sent", () => {
    const keywords = (name: string) => stages.get(name)!.instructions.map(({ keyword }) => keyword);
    assert.equal(stages.get("wasmline-envoy")!.base, "wasmline");
    assert.ok(!keywords("wasmline-envoy").includes("USER"));
    const user = stages.get("wasmline")!.instructions.find(({ keyword }) => keyword === "USER");
    assert.equal(user?.words, "65532:65532");
    assert.ok(!all.some(({ name }) => keywords(name).includes("HEALTHCHECK")));
    for (const path of ["src/core/core.ts", "api/crds"]) assert.equal(isSent(path), true, path);
    for (const path of [".git/config", "node_modules/x", "src/gen/.stamp", "src/log.test.ts", "dist/log.js"])
      assert.equal(isSent(path), false, path);
  });

  suite("their contents", () => {
    let directory: string;
    let app: string;

    before(async () => {
      directory = await mkdtemp(join(tmpdir(), "image-"));
      await chmod(directory, 0o755);
      app = join(directory, "app");
      const build = join(directory, "build");
      await buildStage(stages.get("build")!, build);
      await buildStage(stages.get("modules")!, join(directory, "modules"));
      await mkdir(app);
      for (const instruction of stages.get("wasmline")!.instructions) {
        if (instruction.keyword !== "COPY") continue;
        const { from, sources, target } = readCopy(instruction);
        for (const source of sources)
          await cp(
            from ? join(directory, source) : join(root, source),
            join(app, target === "./" ? source : target),
            {
              recursive: true,
            },
          );
      }
    });
    after(() => rm(directory, { recursive: true, force: true }));

    const wasmline = (writable: readonly string[], flags: readonly string[]) =>
      inContainer([process.execPath, join(app, "dist/cli/main.js"), ...flags], writable);

    test("the program says what it can", async () => {
      const [command, ...rest] = wasmline([], ["--help"]);
      const help = startProgram(command!, rest);
      assert.equal(await help.ended, 0, help.stderr());
      assert.match(help.stdout(), /core.*\n(.*\n)*.*discovery/);
    });

    test("nothing but what is mounted can be written", async () => {
      const [command, ...rest] = inContainer(["sh", "-c", `touch ${app}/x ${directory}/x /tmp/x; id -u`], []);
      const shell = startProgram(command!, rest);
      await shell.ended;
      assert.equal(shell.stderr().match(/Read-only file system/g)?.length, 3, shell.stderr());
      if (process.getuid?.() === 0) assert.equal(shell.stdout().trim(), "65532");
    });

    onEachGateway((gateway) => {
      test("each role runs in a container of its own, and the agent is ready when its gateway is", async (t) => {
        const files = await layOutSeed(gateway);
        t.after(() => files.close());
        // Of whoever runs the tests, and closed to others.
        await chmod(dirname(files.dir), 0o755);
        await mkdir(files.dataDir);
        await chmod(files.dataDir, 0o777);
        const offset = ["--port-offset", String(files.offset)];
        const start = (...flags: readonly string[]) => {
          const [command, ...rest] = wasmline([files.dataDir], [...flags, ...offset]);
          const program = startProgram(command!, rest);
          t.after(() => program.stop().catch(() => program.stop("SIGKILL")));
          return program;
        };
        const registry = startWasmline(["registry", ...offset, "--layout", join(root, "build/images")]);
        t.after(() => registry.stop());
        start("core", "-f", files.dir);
        start("discovery");
        const mirror = files.flags[files.flags.indexOf("--registry-mirror") + 1]!;
        const data = ["--data-dir", files.dataDir];
        const envoy = join(directory, "envoy");
        await copyFile((await requirePeers()).envoy, envoy);
        const own =
          gateway === "envoy"
            ? ["--envoy-path", envoy, "--admin-bind", "127.0.0.1", "--concurrency", "1"]
            : ["--no-envoy", "--gateway-abi", "higress", "--gateway-admin", `127.0.0.1:${files.adminPort}`];
        start("agent", "--registry-mirror", mirror, ...data, ...own);
        const ready = async () =>
          (await fetch(`http://127.0.0.1:${15020 + files.offset}/healthz/ready`)).status;
        if (gateway === "embedded") {
          assert.equal(await until("the agent answers", () => ready().catch(() => undefined)), 503);
          start("gateway", ...data, "--concurrency", "1");
        }
        await until("the agent is ready", async () => (await ready()) === 200);
        const { host, body } = outcomes[1]!;
        await until(
          "the plugin answers",
          async () => (await get(files.trafficPort, "/", host)).body === body,
        );
      });
    });

    test("what is for developers only is left out", () => {
      const has = (name: string) => existsSync(join(app, "node_modules", name));
      assert.deepEqual(["@grpc/grpc-js", "typescript", "tsx", "@biomejs/biome"].map(has), [
        true,
        false,
        false,
        false,
      ]);
    });
  });
});
