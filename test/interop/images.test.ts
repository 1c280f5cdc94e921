import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { gzipSync } from "node:zlib";
import {
  createModuleCache,
  type ModuleCacheOptions,
  type ModuleRequest,
} from "../../src/agent/module-cache.ts";
import { readAuthorities } from "../../src/oci/authorities.ts";
import { createConnections } from "../../src/oci/connections.ts";
import { mediaTypes } from "../../src/oci/manifest.ts";
import { mirrored } from "../../src/oci/mirrors.ts";
import { createUserCredentials } from "../../src/oci/user-credentials.ts";
import { SystemError } from "../../src/system-error.ts";
import { type CertificateFiles, makeCertificate } from "../peers/certificate.ts";
import { type DockerRegistry, startDockerRegistry, testerHtpasswd } from "../peers/docker-registry.ts";
import { createImagePusher, type ImagePusher } from "../peers/push-image.ts";
import { tinyModule } from "../peers/tiny-module.ts";
import { startTokenServer, type TokenServer } from "../peers/token-server.ts";
import { dockerTarGzip, pluginLayouts, pushAttestation, tarOf } from "./plugin-layouts.ts";

let directory: string;
let certificate: CertificateFiles;
let tokens: TokenServer;
/** One has the images; the others ask for something before they give the same out. */
let open: DockerRegistry;
let guarded: DockerRegistry;
let bearer: DockerRegistry;
let secure: DockerRegistry;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "images-"));
  certificate = makeCertificate(directory, "registry");
  const keys = generateKeyPairSync("rsa", { modulusLength: 2048 });
  tokens = await startTokenServer({ user: "tester", password: "open-sesame", keys });
  open = await startDockerRegistry();
  guarded = await startDockerRegistry({ contentOf: open, htpasswd: testerHtpasswd });
  bearer = await startDockerRegistry({ contentOf: open, token: tokens.registryConfig });
  secure = await startDockerRegistry({ contentOf: open, tls: certificate });
  for (const [index, layout] of pluginLayouts.entries()) await layout.push(open.host, repositoryOf(index));
});
after(async () => {
  for (const registry of [secure, bearer, guarded, open]) await registry?.stop();
  await tokens?.stop();
  await rm(directory, { recursive: true });
});

const repositoryOf = (index: number) => `plugins/layout-${index}`;
const auth = Buffer.from("tester:open-sesame").toString("base64");
const authsFor = (host: string) => JSON.stringify({ auths: { [host]: { auth } } });

/** A cache of its own for each pull: what was pulled once would not be pulled again. */
async function pull(
  url: string,
  request: Partial<ModuleRequest> = {},
  options: Partial<ModuleCacheOptions> = {},
): Promise<Buffer> {
  const dir = await mkdtemp(join(directory, "cache-"));
  const anonymous = { credentials: () => undefined };
  const cache = createModuleCache({ dir, maxAttempts: 1, ...anonymous, ...options });
  const plugin = { resource: "ns.a", resourceVersion: "1", pullPolicy: "unspecified" } as const;
  return readFile((await cache.fetch({ url, ...plugin, ...request })).path);
}

/** Credentials as a user has them whose Docker configuration is this one. */
async function userWith(config: string): Promise<Partial<ModuleCacheOptions>> {
  const home = await mkdtemp(join(directory, "user-"));
  await writeFile(join(home, "config.json"), config);
  const env = { DOCKER_CONFIG: home, PATH: `${join(directory, "programs")}:/usr/bin:/bin` };
  return { credentials: createUserCredentials(env) };
}

async function installCredentialProgram(): Promise<void> {
  const file = join(directory, "programs", "docker-credential-tester");
  await mkdir(join(directory, "programs"), { recursive: true });
  await writeFile(file, `#!/bin/sh\necho '{"Username":"tester","Secret":"open-sesame"}'\n`);
  await chmod(file, 0o755);
}

/** The ways to reach a registry, by name: each pulls the image PATH of it. */
const accesses: Readonly<Record<string, (path: string) => Promise<Buffer>>> = {
  "plain HTTP on loopback": (path) => pull(`oci://${open.host}/${path}`),
  "Basic, Docker configuration": async (path) =>
    pull(`oci://${guarded.host}/${path}`, {}, await userWith(authsFor(guarded.host))),
  "Basic, pull secret": (path) =>
    pull(`oci://${guarded.host}/${path}`, { pullSecret: authsFor(guarded.host) }),
  "Basic, credential program": async (path) => {
    await installCredentialProgram();
    const config = JSON.stringify({ credHelpers: { [guarded.host]: "tester" } });
    return pull(`oci://${guarded.host}/${path}`, {}, await userWith(config));
  },
  "Bearer, pull secret": (path) =>
    pull(`oci://${bearer.host}/${path}`, { pullSecret: authsFor(bearer.host) }),
  "Bearer, Docker configuration": async (path) =>
    pull(`oci://${bearer.host}/${path}`, {}, await userWith(authsFor(bearer.host))),
  "TLS, authority of its own": async (path) => {
    const authorities = await readAuthorities(new Map([[secure.host, certificate.certificate]]));
    return pull(`oci://${secure.host}/${path}`, {}, { connections: createConnections({ authorities }) });
  },
  "TLS, not verified": (path) => {
    const connections = createConnections({ unverifiedHosts: [secure.host] });
    return pull(`oci://${secure.host}/${path}`, {}, { connections });
  },
  mirror: (path) =>
    pull(mirrored(`oci://registry.example.com/${path}`, new Map([["registry.example.com", open.host]]))),
};

suite("every layout of plugin images, by every way to a registry", () => {
  for (const [access, pullBy] of Object.entries(accesses)) {
    test(access, async () => {
      for (const [index, { name, module }] of pluginLayouts.entries()) {
        const cell = `${name} by ${access}`;
        const bytes = await pullBy(`${repositoryOf(index)}:1`).catch((error: unknown) => {
          throw new Error(`${cell}: ${error}`, { cause: error });
        });
        assert.deepEqual(bytes, Buffer.from(module), cell);
      }
    });
  }

  test("without what the registry asks for, none", async () => {
    const path = `${repositoryOf(0)}:1`;
    for (const { host } of [guarded, bearer])
      await assert.rejects(pull(`oci://${host}/${path}`), /unauthorized|no credentials|imagePullSecret/i);
    const connections = createConnections({ unverifiedHosts: ["127.0.0.1:1"] });
    await assert.rejects(pull(`oci://${secure.host}/${path}`, {}, { connections }), SystemError);
  });
});

suite("what is no plugin image is called what it is", () => {
  const helmChart = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
  const tar = "application/vnd.oci.image.layer.v1.tar";
  const none: Readonly<Record<string, readonly [(pusher: ImagePusher) => Promise<unknown>, RegExp]>> = {
    "no layer with a module": [
      (pusher) => pusher.image([["text/plain", Buffer.from("a")]], { tag: "1" }),
      /is no plugin image: its manifest \(.*image\.manifest\.v1\+json\) has layers of text\/plain; expected/,
    ],
    "a Helm chart": [
      async (pusher) =>
        pusher.image([[helmChart, gzipSync(await tarOf(Buffer.from("name: a"), "a/Chart.yaml"))]], {
          tag: "1",
          configType: "application/vnd.cncf.helm.config.v1+json",
        }),
      /is no plugin image: .* has layers of application\/vnd\.cncf\.helm\.chart\.content\.v1\.tar\+gzip; expected/,
    ],
    "an image of something else": [
      async (pusher) =>
        pusher.image([[dockerTarGzip, gzipSync(await tarOf(Buffer.from("#!"), "bin/sh"))]], { tag: "1" }),
      /layer sha256:\w+ \(.*tar\.gzip\) of .*: the tar holds bin\/sh; expected a file named plugin\.wasm/,
    ],
    "a module of another name": [
      async (pusher) => pusher.image([[tar, await tarOf(tinyModule("other"), "filter.wasm")]], { tag: "1" }),
      /the tar holds filter\.wasm; expected a file named plugin\.wasm/,
    ],
    "an empty tar": [
      (pusher) => pusher.image([[mediaTypes.ociTarGzip, gzipSync(Buffer.alloc(1024))]], { tag: "1" }),
      /layer sha256:\w+ \(.*tar\+gzip\) of .*: the tar holds nothing; expected a file named plugin\.wasm/,
    ],
    "an index without an image": [
      async (pusher) => {
        const manifests = [await pushAttestation(pusher)];
        return pusher.manifest({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }, "1");
      },
      /is an index with 1 entries, none of them an image/,
    ],
  };

  for (const [what, [push, message]] of Object.entries(none)) {
    test(what, async () => {
      const repository = `none/${what.toLowerCase().replaceAll(" ", "-")}`;
      await push(createImagePusher(open.host, repository));
      await assert.rejects(pull(`oci://${open.host}/${repository}:1`), (error: unknown) => {
        assert.ok(error instanceof SystemError, String(error));
        assert.match(error.message, message);
        assert.match(error.message, new RegExp(`${open.host}/${repository}:1`));
        return true;
      });
    });
  }
});
