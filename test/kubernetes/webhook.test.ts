import assert from "node:assert/strict";
import { mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { get, request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { TLSSocket } from "node:tls";
import { serveWebhook, webhookPath } from "../../src/core/admission/serve-webhook.ts";
import { defaultConvertOptions } from "../../src/core/convert-options.ts";
import { silentLog } from "../../src/log.ts";
import { type CertificateFiles, makeCertificate } from "../peers/certificate.ts";
import { type Kubernetes, runKubernetes } from "../peers/kubernetes.ts";
import {
  applyObjects,
  installCrds,
  systemNamespace as namespace,
  wasmPlugin,
} from "../peers/kubernetes-core.ts";
import { until } from "../peers/until.ts";

async function startWebhook(t: TestContext) {
  const directory = await mkdtemp(join(tmpdir(), "webhook-"));
  const end = new AbortController();
  t.after(async () => {
    end.abort();
    await rm(directory, { recursive: true, force: true });
  });
  const { certificate: certFile, key: keyFile } = makeCertificate(directory, "webhook");
  const port = await serveWebhook({
    ...{ bind: "127.0.0.1", port: 0, certFile, keyFile, convert: defaultConvertOptions },
    ...{ log: silentLog, signal: end.signal },
  });
  return { directory, certFile, keyFile, port, stop: () => end.abort() };
}

async function configure(
  plane: Kubernetes,
  port: number,
  certFile: string,
  failurePolicy: "Fail" | "Ignore",
): Promise<void> {
  const caBundle = (await readFile(certFile)).toString("base64");
  await applyObjects(plane, {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingWebhookConfiguration",
    metadata: { name: "wasmline" },
    webhooks: [
      {
        name: "wasmplugins.wasmline.io",
        clientConfig: { url: `https://127.0.0.1:${port}${webhookPath}`, caBundle },
        rules: [
          {
            ...{ apiGroups: ["extensions.higress.io"], apiVersions: ["v1alpha1"], scope: "Namespaced" },
            ...{ operations: ["CREATE", "UPDATE"], resources: ["wasmplugins"] },
          },
        ],
        ...{ failurePolicy, sideEffects: "None", admissionReviewVersions: ["v1"], timeoutSeconds: 5 },
      },
    ],
  });
}

test("the API server asks the webhook, and refuses what conversion would", async (t) => {
  const plane = await runKubernetes(t);
  // Where Higress' CRD stays, the webhook alone looks at rules.
  await installCrds(plane, "as-higress");
  await applyObjects(plane, wasmPlugin("broken", { matchRules: [{ config: {} }] }));
  const webhook = await startWebhook(t);
  await configure(plane, webhook.port, webhook.certFile, "Fail");
  const create = (name: string, spec: object, where?: string) =>
    plane.kubectl(["create", "--dry-run=server", "-f", "-"], JSON.stringify(wasmPlugin(name, spec, where)));

  await t.test("everything that is wrong, each with its field and what to do", async () => {
    const spec = { priority: 2 ** 31, matchRules: [{ domain: ["a.com"] }, { config: {} }, { ingress: [] }] };
    // The API server takes a moment to follow its configuration.
    await until("the webhook is asked", () =>
      create("a", spec).then(
        () => false,
        () => true,
      ),
    );
    await assert.rejects(
      create("a", spec),
      /The WasmPlugin "a" is invalid: spec\.priority: expected a whole number from -2147483648 to 2147483647, found the number 2147483648/,
    );
    const { priority: _priority, ...rules } = spec;
    await assert.rejects(
      create("a", rules),
      /The WasmPlugin "a" is invalid: \n\* spec\.matchRules\[1\]: rule has no domain, ingress or service \(say where .*\)\n\* spec\.matchRules\[2\]: rule has no/,
    );
  });

  await t.test("what takes effect passes", async () => {
    assert.match(await create("fine", { url: "oci://a/b", matchRules: [{ domain: ["a.com"] }] }), /created/);
  });

  await t.test("what takes no effect passes with a warning", async () => {
    await plane.kubectl(["create", "namespace", "apps"]);
    const { warnings } = await review(webhook.port, webhook.certFile, wasmPlugin("away", {}, "apps"));
    assert.deepEqual(warnings, ['metadata.namespace: only WasmPlugins in "higress-system" take effect']);
    assert.match(await create("away", {}, "apps"), /created/);
  });

  await t.test("what was broken before can be labelled and deleted, and not made otherwise", async () => {
    await plane.kubectl(["label", "wasmplugin", "broken", "-n", namespace, "a=b"]);
    const patch = (value: string) =>
      plane.kubectl(["patch", "wasmplugin", "broken", "-n", namespace, "--type=merge", "-p", value]);
    await assert.rejects(patch('{"spec":{"phase":"AUTHN"}}'), /spec\.matchRules\[0\]: rule has no domain/);
    await patch('{"metadata":{"finalizers":["example.com/a"]}}');
    await plane.kubectl(["delete", "wasmplugin", "broken", "-n", namespace, "--wait=false"]);
    await patch('{"metadata":{"finalizers":null}}');
    await assert.rejects(plane.kubectl(["get", "wasmplugin", "broken", "-n", namespace]), /NotFound/);
  });

  await t.test("a renewed certificate is taken up", async () => {
    const next = makeCertificate(webhook.directory, "next");
    await rename(next.key, webhook.keyFile);
    await rename(next.certificate, webhook.certFile);
    await until("it is served", async () => (await subjectAt(webhook.port)) === "next");
    await configure(plane, webhook.port, webhook.certFile, "Fail");
    await until("the API server trusts it", () => create("fine", { url: "oci://a/b" }));
  });

  await t.test("without the webhook, nothing or everything passes, as its configuration says", async () => {
    webhook.stop();
    await until("it is gone", () =>
      create("a", {}).then(
        () => false,
        (error: Error) => /failed calling webhook/.test(error.message),
      ),
    );
    await configure(plane, webhook.port, webhook.certFile, "Ignore");
    await until("it is not missed", () => create("a", {}));
  });
});

test("what is no review is answered as such", async (t) => {
  const { port, certFile } = await startWebhook(t);
  const post = (path: string, body: string) => ask(port, certFile, "POST", path, body);
  assert.equal((await post("/elsewhere", "{}")).status, 404);
  assert.equal((await post("//", "{}")).status, 404);
  assert.equal((await ask(port, certFile, "GET", webhookPath)).status, 405);
  for (const body of [
    "",
    "null",
    "[]",
    "{}",
    '{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}',
  ])
    assert.equal((await post(webhookPath, body)).status, 400, body);
  assert.equal((await post(webhookPath, `"${"x".repeat(9 * 1024 * 1024)}"`)).status, 400);
});

function ask(
  port: number,
  certFile: CertificateFiles["certificate"],
  method: string,
  path: string,
  body = "",
): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    void readFile(certFile).then((ca) => {
      const request = httpsRequest(
        { host: "127.0.0.1", port, path, method, ca, agent: false },
        (response) => {
          let text = "";
          response.setEncoding("utf8").on("data", (chunk: string) => {
            text += chunk;
          });
          response.once("end", () => resolve({ status: response.statusCode ?? 0, text }));
        },
      );
      request.once("error", reject);
      request.end(body);
    }, reject);
  });
}

async function review(port: number, certFile: string, object: object): Promise<{ warnings: string[] }> {
  const body = {
    ...{ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview" },
    request: { uid: "1", operation: "CREATE", object },
  };
  const { text } = await ask(port, certFile, "POST", webhookPath, JSON.stringify(body));
  return (JSON.parse(text) as { response: { warnings: string[] } }).response;
}

/** Whose certificate is shown. */
function subjectAt(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get({ host: "127.0.0.1", port, agent: false, rejectUnauthorized: false }, (response) => {
      const { subject } = (response.socket as TLSSocket).getPeerCertificate();
      response.resume();
      resolve(String(subject.CN));
    });
    request.once("error", reject);
  });
}
