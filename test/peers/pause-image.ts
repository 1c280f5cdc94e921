import { createHash } from "node:crypto";
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { pauseImageName } from "./node-config.ts";
import { run } from "./node-network.ts";

/** Writes an archive, as `docker save` does, of an image that holds one static program and starts it. */
export async function pauseImage(directory: string, program: string): Promise<string> {
  const work = join(directory, "pause-image");
  await mkdir(join(work, "layer"), { recursive: true });
  await copyFile(program, join(work, "layer/pause"));
  await run("tar", ["-cf", join(work, "layer.tar"), "-C", join(work, "layer"), basename("pause")]);
  const layer = await readFile(join(work, "layer.tar"));
  const config = {
    architecture: process.arch === "x64" ? "amd64" : process.arch,
    os: "linux",
    config: { Entrypoint: ["/pause"], User: "65535:65535" },
    rootfs: { type: "layers", diff_ids: [`sha256:${createHash("sha256").update(layer).digest("hex")}`] },
  };
  const manifest = [{ Config: "config.json", RepoTags: [pauseImageName], Layers: ["layer.tar"] }];
  await writeFile(join(work, "config.json"), JSON.stringify(config));
  await writeFile(join(work, "manifest.json"), JSON.stringify(manifest));
  const archive = join(directory, "pause.tar");
  await run("tar", ["-cf", archive, "-C", work, "manifest.json", "config.json", "layer.tar"]);
  return archive;
}
