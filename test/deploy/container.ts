import { randomBytes } from "node:crypto";
import type { TestContext } from "node:test";
import { podmanFlags, runPodman } from "../peers/containers.ts";
import { type Program, startProgram } from "../peers/program.ts";

export interface ContainerOptions {
  /** In the place of the image's own. */
  readonly entrypoint?: string;
  /** Directories of this machine, at the same path; `readOnly` ones cannot be written from within. */
  readonly mounts?: readonly { readonly path: string; readonly readOnly: boolean }[];
  /** `none` unless given: loopback of its own, and nothing else. */
  readonly network?: "none" | "host";
}

export interface Container extends Program {
  readonly name: string;
}

/** What the chart's Pods have: no rights, nothing that can be written but what is mounted, an end of memory. */
const restricted = [
  ...["--read-only", "--read-only-tmpfs=false", "--cap-drop", "all"],
  ...["--security-opt", "no-new-privileges", "--memory", "512m", "--pids-limit", "200"],
  // Podman's own limits are more than root may set everywhere.
  ...["--ulimit", "nofile=4096:4096", "--ulimit", "nproc=1024:1024"],
];

/** Runs a command of an image in a container that the test removes when it is over. */
export function startContainer(
  t: TestContext,
  image: string,
  command: readonly string[],
  { entrypoint, mounts = [], network = "none" }: ContainerOptions = {},
): Container {
  const name = `wasmline-test-${randomBytes(6).toString("hex")}`;
  const program = startProgram("podman", [
    ...[...podmanFlags, "run", "--rm", "--pull", "never", "--name", name],
    ...["--timeout", "300", "--network", network],
    ...restricted,
    ...mounts.flatMap(({ path, readOnly }) => ["--volume", `${path}:${path}${readOnly ? ":ro" : ""}`]),
    ...(entrypoint ? ["--entrypoint", entrypoint] : []),
    ...[image, ...command],
  ]);
  t.after(async () => {
    await runPodman("rm", "--force", "--time", "5", "--ignore", name);
    await program.ended;
  });
  return { ...program, name };
}
