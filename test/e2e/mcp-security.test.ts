// MCP holds Secrets: between machines core gives it to its discoveries only, over TLS.
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { type CertificateFiles, makeCertificate } from "../peers/certificate.ts";
import { type Kubernetes, startKubernetes } from "../peers/kubernetes.ts";
import { freePortOffset } from "../peers/ports.ts";
import { type Program, startWasmline } from "../peers/program.ts";
import { until } from "../peers/until.ts";

const account = "higress-system/discovery";
const audience = "wasmline-core";

let plane: Kubernetes;
let endPlane: () => Promise<void>;
let directory: string;
let core: Program;
let mcp: string;
let files: CertificateFiles;

suite("MCP between machines", () => {
  before(async () => {
    ({ plane, end: endPlane } = await startKubernetes());
    directory = await mkdtemp(join(tmpdir(), "mcp-"));
    files = makeCertificate(directory, "core");
    await writeFile(join(directory, "plugin.yaml"), "");
    const offset = await freePortOffset();
    mcp = `127.0.0.1:${15051 + offset}`;
    const security = [
      ...["--mcp-tls-cert", files.certificate, "--mcp-tls-key", files.key],
      ...["--mcp-client", account, "--kubeconfig", plane.kubeconfig],
    ];
    core = startWasmline([
      "core",
      "-f",
      join(directory, "plugin.yaml"),
      "--port-offset",
      `${offset}`,
      ...security,
    ]);
    await core.waitFor("stderr", /core is up/);
  });
  after(async () => {
    await core.stop();
    await endPlane();
    await rm(directory, { recursive: true, force: true });
  });

  test("a discovery with the token of the account that is named follows core", async (t) => {
    const token = await plane.token("higress-system", "discovery", { audience });
    const { ready } = await startDiscovery(t, token);
    await until("discovery has what core says", async () => (await ready()) === 200);
  });

  const refused: readonly [what: string, tokenOf: () => Promise<string>, why: RegExp][] = [
    ["another account", () => plane.token("higress-system", "other", { audience }), /is not served here/],
    ["another namespace", () => plane.token("shop", "discovery", { audience }), /is not served here/],
    ["another audience", () => plane.token("higress-system", "discovery"), /UNAUTHENTICATED/],
  ];
  for (const [what, tokenOf, why] of refused)
    test(`a token of ${what} gets nothing`, async (t) => {
      const token = await tokenOf();
      const { program, ready } = await startDiscovery(t, token);
      await program.waitFor("stderr", why);
      assert.equal(await ready(), 503);
      assert.ok(!program.stderr().includes(token) && !core.stderr().includes(token));
    });

  test("a discovery without TLS gets nothing", async (t) => {
    const { program, ready } = await startDiscovery(t);
    await program.waitFor("stderr", /not connected/);
    assert.equal(await ready(), 503);
  });
});

async function startDiscovery(t: { after(end: () => unknown): void }, token?: string) {
  const offset = await freePortOffset();
  const tokenFile = join(directory, `token-${offset}`);
  await writeFile(tokenFile, token ?? "");
  const tls = token === undefined ? [] : ["--core-ca", files.certificate, "--core-token-file", tokenFile];
  const program = startWasmline(["discovery", "--core", mcp, "--port-offset", String(offset), ...tls]);
  t.after(() => program.stop());
  await program.waitFor("stderr", /discovery is up/);
  const ready = async () => (await fetch(`http://127.0.0.1:${15014 + offset}/ready`)).status;
  return { program, ready };
}
