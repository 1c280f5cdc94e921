/** Debian's and the images' user without a name. */
const user = "65532";

/**
 * The command that runs another as a container does: with a file system of which nothing is writable but the directories
 * that are named, and where root may be somebody else, as a user without rights and without a home.
 */
export function inContainer(command: readonly string[], writable: readonly string[]): string[] {
  const isRoot = process.getuid?.() === 0;
  const mounts = [
    "mount --make-rprivate /",
    ...writable.map((path) => `mount --bind '${path}' '${path}'`),
    "mount -o remount,bind,ro /",
    'exec "$@"',
  ];
  const unshare = ["unshare", "--mount", ...(isRoot ? [] : ["--map-root-user"])];
  const rights = ["--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"];
  const unprivileged = ["setpriv", `--reuid=${user}`, `--regid=${user}`, "--clear-groups", ...rights];
  return [
    ...unshare,
    "sh",
    "-c",
    mounts.join(" && "),
    "sh",
    ...(isRoot ? unprivileged : []),
    "env",
    "HOME=/",
    ...command,
  ];
}
