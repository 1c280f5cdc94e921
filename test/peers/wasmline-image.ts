import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheDirectory } from "../../src/agent/install-envoy.ts";
import { type Log, silentLog } from "../../src/log.ts";
import { type BaseImages, requireBaseImages } from "./base-images.ts";
import { runBuildah } from "./containers.ts";
import { npmSecrets } from "./npm-secrets.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const dockerfile = "deploy/docker/Dockerfile";
const ignoreFile = `${dockerfile}.dockerignore`;
const keptVersions = 3;
/** What the Dockerfile makes of this source, as archives that `docker load`, `ctr images import` and `podman load` read. */
export interface WasmlineImages {
  /** The path of the archive with `localhost/wasmline:TAG`. */
  readonly wasmline: string;
  /** The path of the archive with `localhost/wasmline-envoy:TAG`. */
  readonly wasmlineEnvoy: string;
  /** Of both; another one for other source. */
  readonly tag: string;
}

let images: Promise<WasmlineImages> | undefined;

/** Builds both images with buildah, unless the cache has those of the same source. */
export function wasmlineImages(log: Log = silentLog): Promise<WasmlineImages> {
  images ??= findOrBuild(log);
  return images;
}

async function findOrBuild(log: Log): Promise<WasmlineImages> {
  const bases = await requireBaseImages(log);
  const tag = await hashSource(bases);
  const all = join(cacheDirectory(), "images");
  const directory = join(all, tag);
  const found = {
    wasmline: join(directory, "wasmline.tar"),
    wasmlineEnvoy: join(directory, "wasmline-envoy.tar"),
    tag,
  };
  if (await stat(directory).catch(() => undefined)) return found;
  log.info({ tag }, "building the images (in about a minute, two the first time)");
  await mkdir(all, { recursive: true });
  const work = await mkdtemp(join(all, ".build-"));
  try {
    const secrets = await npmSecrets(work);
    for (const target of ["wasmline", "wasmline-envoy"]) {
      await buildTarget(target, tag, bases, secrets);
      const image = `localhost/${target}:${tag}`;
      await runBuildah("push", "--quiet", image, `docker-archive:${join(work, target)}.tar:${image}`);
    }
    for (const name of ["npmrc", "ca"]) await rm(join(work, name));
    await rename(work, directory).catch(() => {});
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  await removeOldArchives(all);
  return found;
}

/** Builds one target as an installation does: the Dockerfile as it is, with other images under it. */
function buildTarget(target: string, tag: string, bases: BaseImages, secrets: readonly string[]) {
  return runBuildah(
    ...["build", "--isolation", "chroot", "--layers", "--format", "docker", ...secrets],
    ...["--build-arg", `NODE_IMAGE=${bases.node}`, "--build-arg", `ENVOY_IMAGE=${bases.envoy}`],
    ...["--file", join(root, dockerfile), "--ignorefile", join(root, ignoreFile)],
    ...["--target", target, "--tag", `localhost/${target}:${tag}`, root],
  );
}

/** Twelve digits for everything that a build reads. */
async function hashSource(bases: BaseImages): Promise<string> {
  const hash = createHash("sha256").update(JSON.stringify(bases));
  const ignored = await readFile(join(root, ignoreFile), "utf8");
  const sent = [...ignored.matchAll(/^!(.*)$/gm)].map(([, path]) => path!);
  for (const path of [dockerfile, ignoreFile, ...sent])
    for (const file of await listFiles(path))
      hash.update(`${file}\0`).update(await readFile(join(root, file)));
  return hash.digest("hex").slice(0, 12);
}

async function listFiles(path: string): Promise<string[]> {
  if (!(await stat(join(root, path))).isDirectory()) return [path];
  const entries = await readdir(join(root, path), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length))
    .filter((file) => !/\.test\.ts$|^src\/gen\/|node_modules\//.test(file))
    .sort();
}

async function removeOldArchives(all: string): Promise<void> {
  const names = (await readdir(all)).filter((name) => !name.startsWith("."));
  const byAge = await Promise.all(
    names.map(async (name) => ({ name, time: (await stat(join(all, name))).mtimeMs })),
  );
  byAge.sort((a, b) => b.time - a.time);
  for (const { name } of byAge.slice(keptVersions))
    await rm(join(all, name), { recursive: true, force: true });
}
