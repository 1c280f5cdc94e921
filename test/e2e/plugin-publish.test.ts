import assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after, before, test } from "node:test";
import { digestOf } from "../../src/oci/digest.ts";
import { writePluginImage } from "../../src/oci/image-layout.ts";
import { makeCertificate } from "../peers/certificate.ts";
import {
  type DockerRegistry,
  runSkopeo,
  startDockerRegistry,
  testerHtpasswd,
} from "../peers/docker-registry.ts";
import { startProgram, startWasmline, wasmlineProgram } from "../peers/program.ts";
import { tinyModule } from "../peers/tiny-module.ts";

const wasm = tinyModule("published");
let dir = "";
let open: DockerRegistry;
before(async () => {
  dir = await mkdtemp(join(tmpdir(), "plugin-publish-"));
  open = await startDockerRegistry();
  await writePluginImage(join(dir, "layout"), { repository: "a", tag: "1", wasm, spec: "a: 1\n" });
});
after(async () => {
  await open.stop();
  await rm(dir, { recursive: true });
});

async function run(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const program = startWasmline(["plugin", ...args], { DOCKER_CONFIG: dir, ...env });
  const status = await program.ended;
  return { status, stdout: program.stdout(), stderr: program.stderr() };
}

test("a wrong call is status 2", async () => {
  for (const args of [["new"], ["new", "a", "--language", "cobol"], ["push", "a"], ["pull"]]) {
    const { status, stdout } = await run(args);
    assert.deepEqual([status, stdout], [2, ""], args.join(" "));
  }
  const bad = await run(["push", join(dir, "layout"), "a.example/UPPER"]);
  assert.equal(bad.status, 1);
  assert.match(bad.stderr, /^error reference-invalid: image reference "a\.example\/UPPER" is invalid/);
});

test("new and build: what is wrong with the source is said by its place", async () => {
  const plugin = join(dir, "mine");
  const made = await run(["new", "mine", "--dir", plugin]);
  assert.deepEqual([made.status, /next: wasmline plugin build /.test(made.stderr)], [0, true]);
  const file = join(plugin, "assembly/index.ts");
  const source = await readFile(file, "utf8");
  await writeFile(file, source.replace(": bool", ": boole"));
  const broken = await run(["build", plugin]);
  assert.deepEqual([broken.status, broken.stdout], [1, ""]);
  assert.match(
    broken.stderr,
    /mine\/assembly\/index\.ts:26:33: error COMPILE_ERROR: TS2304: Cannot find name 'boole'\./,
  );
  const nothing = await run(["push", plugin, `${open.host}/mine:1`]);
  assert.match(nothing.stderr, /^error not-found: .*run wasmline plugin build /);
  await writeFile(file, source);
  const built = await run(["build", plugin]);
  assert.equal(built.status, 0, built.stderr);
  assert.match(built.stderr, /mine\/build\/plugin\.wasm: [\d.]+ KiB, ABI 0\.2\.1, by AssemblyScript 0\.28/);
  const pushed = await run(["push", plugin, `${open.host}/mine:0.1.0`]);
  assert.equal(pushed.stdout, built.stdout);
});

test("push and pull: the digest on stdout, and no bars where there is no terminal", async () => {
  const target = `${open.host}/plugins/a:1`;
  const pushed = await run(["push", join(dir, "layout"), target]);
  assert.equal(pushed.status, 0);
  assert.equal(pushed.stderr, `${target} is pushed\n`);
  const again = await run(["push", join(dir, "layout"), `oci://${target}`, "--chunk-bytes", "100"]);
  assert.deepEqual([again.stdout, again.stderr], [pushed.stdout, `${target} was there already\n`]);
  const seen = await runSkopeo("inspect", "--tls-verify=false", `docker://${target}`);
  assert.equal(`${JSON.parse(seen).Digest}\n`, pushed.stdout);

  const file = join(dir, "pulled.wasm");
  const pulled = await run(["pull", target, "-o", file]);
  assert.deepEqual([pulled.status, pulled.stdout], [0, pushed.stdout]);
  assert.equal(digestOf(await readFile(file)), digestOf(wasm));
  const byDigest = `${open.host}/plugins/a@${pushed.stdout.trim()}`;
  const copied = await run(["pull", byDigest, "--output", join(dir, "copy")]);
  assert.equal(copied.stdout, pushed.stdout);
  const elsewhere = await run([
    "push",
    join(dir, "copy"),
    `${open.host}/elsewhere/a:2`,
    "--mount-from",
    "plugins/a",
  ]);
  assert.equal(elsewhere.stdout, pushed.stdout);
  const mirrored = ["--registry-mirror", `registry.example.com=${open.host}`];
  const far = await run(["pull", "registry.example.com/plugins/a:1", "-o", file, ...mirrored]);
  assert.equal(far.stdout, pushed.stdout);
  const missing = await run(["pull", `${open.host}/plugins/a:none`, "-o", join(dir, "none.wasm")]);
  assert.deepEqual([missing.status, missing.stdout], [1, ""]);
  assert.match(missing.stderr, /^error not-found: fetching the manifest of .*plugins\/a:none: 404/);
  await assert.rejects(stat(join(dir, "none.wasm")));
});

test("on a terminal there are bars", async () => {
  const command = `"${process.execPath}" "${wasmlineProgram}" plugin push "${join(dir, "layout")}" ${open.host}/bars/a:1`;
  const terminal = startProgram("script", ["-qec", command, "/dev/null"], { DOCKER_CONFIG: dir });
  assert.equal(await terminal.ended, 0);
  const lines = terminal.stdout().replaceAll("\x1b[K", "");
  assert.match(lines, / plugin\.tar\.gz +\[#+\] \d+ B of \d+ B uploaded\r\n/);
  assert.match(terminal.stdout(), /\nsha256:[0-9a-f]{64}\r\n$/);
});

test("with TLS and a login: of the Docker configuration, or of the program that it names", async (context) => {
  const tls = makeCertificate(dir, "registry");
  const registry = await startDockerRegistry({ htpasswd: testerHtpasswd, tls });
  context.after(() => registry.stop());
  const { host } = registry;
  const trusted = ["--registry-ca", `${host}=${tls.certificate}`];
  const push = (tag: string, env: NodeJS.ProcessEnv, flags = trusted) =>
    run(["push", join(dir, "layout"), `${host}/a:${tag}`, ...flags], env);

  const other = makeCertificate(dir, "other");
  const stranger = await push("1", {}, ["--registry-ca", `${host}=${other.certificate}`]);
  assert.match(stranger.stderr, /error network: .*certificate.*give --registry-ca/s);
  const anonymous = await push("1", {});
  assert.deepEqual([anonymous.status, anonymous.stdout], [1, ""]);
  assert.match(anonymous.stderr, /^error unauthorized: .*: no credentials for host .*; log in\n$/);

  const login = await configured("login", { auths: { [host]: { auth: base64("tester:open-sesame") } } });
  assert.equal((await push("1", login)).status, 0);
  const helper = await configured("helper", { credHelpers: { [host]: "tests" } });
  const program = join(dir, "helper", "docker-credential-tests");
  await writeFile(program, `#!/bin/sh\necho '{"Username":"tester","Secret":"open-sesame"}'\n`);
  await chmod(program, 0o755);
  const helped = { ...helper, PATH: `${join(dir, "helper")}${delimiter}${process.env.PATH}` };
  assert.equal((await push("2", helped)).status, 0);
  const wrong = await configured("wrong", { auths: { [host]: { auth: base64("tester:mistyped") } } });
  const refused = await push("3", wrong);
  assert.match(refused.stderr, /^error unauthorized: .*were refused; check them\n$/);
  assert.doesNotMatch(refused.stderr, /mistyped/);
  const file = join(dir, "secure.wasm");
  assert.equal((await run(["pull", `${host}/a:2`, "-o", file, ...trusted], login)).status, 0);
  assert.equal(digestOf(await readFile(file)), digestOf(wasm));
});

const base64 = (text: string) => Buffer.from(text).toString("base64");

async function configured(name: string, config: object): Promise<NodeJS.ProcessEnv> {
  await mkdir(join(dir, name));
  await writeFile(join(dir, name, "config.json"), JSON.stringify(config));
  return { DOCKER_CONFIG: join(dir, name) };
}
