import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheDirectory } from "../../src/agent/install-envoy.ts";
import { type Log, silentLog } from "../../src/log.ts";
import { requireBaseImages } from "./base-images.ts";
import { runBuildah } from "./containers.ts";
import { npmSecrets } from "./npm-secrets.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const dockerfile = "deploy/docker/Dockerfile";
const targets = ["wasmline", "wasmline-envoy"] as const;
const keptVersions = 2;
/** An edit of the source adds about fifteen, of twenty MB in all. */
const maxImages = 400;

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
  const tag = await hashSource();
  const all = join(cacheDirectory(), "images");
  const directory = join(all, tag);
  const found = {
    wasmline: join(directory, "wasmline.tar"),
    wasmlineEnvoy: join(directory, "wasmline-envoy.tar"),
    tag,
  };
  if (await stat(directory).catch(() => undefined)) return found;
  log.info({ tag }, "building the images (in about half a minute, two minutes the first time)");
  await mkdir(all, { recursive: true });
  await forgetMany();
  const work = await mkdtemp(join(all, ".build-"));
  try {
    for (const target of targets) {
      const image = `localhost/${target}:${tag}`;
      await buildTarget(target, image, ["--layers"], log);
      await runBuildah("push", "--quiet", image, `docker-archive:${join(work, target)}.tar:${image}`);
    }
    await rename(work, directory).catch(() => {});
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  await removeOldArchives(all);
  return found;
}

/**
 * Builds one target as an installation does: the Dockerfile as it is, with other images under it. All that it adds is of
 * 1970, so that the same source makes the same bytes.
 */
export async function buildTarget(
  target: (typeof targets)[number],
  name: string,
  flags: readonly string[],
  log: Log = silentLog,
): Promise<void> {
  const { node, envoy } = await requireBaseImages(log);
  const secrets = await npmSecrets();
  try {
    await runBuildah(
      ...["build", "--isolation", "chroot", "--timestamp", "0", ...secrets.flags, ...flags],
      ...["--build-arg", `NODE_IMAGE=${node}`, "--build-arg", `ENVOY_IMAGE=${envoy}`],
      ...["--file", join(root, dockerfile), "--target", target, "--tag", name, root],
    );
  } finally {
    await secrets.remove();
  }
}

/** Twelve digits for everything that a build reads, and the programs that the images under it hold. */
async function hashSource(): Promise<string> {
  const ignored = await readFile(join(root, `${dockerfile}.dockerignore`), "utf8");
  const sent = [...ignored.matchAll(/^!(.*)$/gm)].map(([, path]) => path!);
  const own = ["test/peers/base-images.ts", "src/agent/install-envoy.ts"];
  const hash = createHash("sha256").update(`${process.version} ${process.arch}`).update(ignored);
  for (const path of [dockerfile, ...own, ...sent])
    for (const file of await listFiles(path))
      hash.update(`\0${file}\0`).update(await readFile(join(root, file)));
  return hash.digest("hex").slice(0, 12);
}

async function listFiles(path: string): Promise<string[]> {
  if (!(await stat(join(root, path))).isDirectory()) return [path];
  const entries = await readdir(join(root, path), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length))
    .filter((file) => !/\.test\.ts$|^src\/gen\/|(^|\/)node_modules\//.test(file))
    .sort();
}

/** A build keeps what it did at each step. When that is much, everything is made anew. */
async function forgetMany(): Promise<void> {
  const known = await runBuildah("images", "--all", "--quiet");
  if (known.split("\n").length > maxImages) await runBuildah("rmi", "--all", "--force");
}

async function removeOldArchives(all: string): Promise<void> {
  const names = (await readdir(all)).filter((name) => !name.startsWith("."));
  const timed = await Promise.all(
    names.map(async (name) => ({ name, time: (await stat(join(all, name))).mtimeMs })),
  );
  timed.sort((a, b) => b.time - a.time);
  for (const { name } of timed.slice(keptVersions))
    await rm(join(all, name), { recursive: true, force: true });
}
