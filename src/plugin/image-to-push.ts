import { stat } from "node:fs/promises";
import { join } from "node:path";
import { findStoredImage, type StoredImage } from "../oci/stored-image.ts";
import { SystemError } from "../system-error.ts";
import { layoutOf } from "./build-plugin.ts";
import { readPluginSpec } from "./plugin-spec.ts";

/**
 * Finds the image that a path means: of an OCI image layout the one with a name, or the only one; of a plugin's folder what
 * was built of it last.
 * @throws SystemError `not-found`, and as `findStoredImage`; ResourceError as `readPluginSpec`
 */
export async function findImageToPush(path: string, name?: string): Promise<StoredImage> {
  if (await isLayout(path)) return findStoredImage(path, name);
  const layout = layoutOf(path);
  if (await isLayout(layout)) {
    const { repository, tag } = await readPluginSpec(path);
    return findStoredImage(layout, name ?? `${repository}:${tag}`);
  }
  const expected = `an image layout, or a plugin's folder that was built: run wasmline plugin build ${path}`;
  throw new SystemError(
    "not-found",
    `${path} has no image: found no index.json there or in ${layout}; expected ${expected}`,
  );
}

function isLayout(directory: string): Promise<boolean> {
  return stat(join(directory, "index.json")).then(
    (found) => found.isFile(),
    () => false,
  );
}
