// From nothing to a plugin of one's own in effect: new, build, test, push to a registry, pulled by two gateways.
//   node examples/03-own-plugin/run.mjs [assemblyscript|go|rust] [--registry HOST[/PATH]] [--keep]
// Without --registry a docker-registry is started on this machine. --keep leaves the plugin's folder.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request } from "node:http";
import { createServer as createPort } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const wasmline = join(dirname(fileURLToPath(import.meta.url)), "../../dist/cli/main.js");
const flags = process.argv.slice(2);
const language = flags.find((flag) => ["assemblyscript", "go", "rust"].includes(flag)) ?? "assemblyscript";
const name = "my-plugin";
const work = mkdtempSync(join(tmpdir(), "own-plugin-"));
/** What has to end with this script. */
const running = [];
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
  if (flags.includes("--keep")) console.log(`the plugin is in ${join(work, name)}`);
  else rmSync(work, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));

const registry = flags.includes("--registry") ? flags[flags.indexOf("--registry") + 1] : await startRegistry();
const image = `${registry}/${name}:0.1.0`;

await run("plugin", "new", name, "--language", language);
await run("plugin", "build", name);
await run("plugin", "test", `${name}/test/plugin.test.yaml`);
await run("plugin", "push", name, image);

const upstream = createServer((_, response) => response.end("the upstream\n"));
upstream.listen(0, "127.0.0.1");
await once(upstream, "listening");
writeResources(upstream.address().port);
for (const gateway of ["embedded", "envoy"]) await showOn(gateway);
process.exit(0);

/** Runs a command of wasmline, as a reader would type it. */
async function run(...args) {
  console.log(`$ wasmline ${args.join(" ")}`);
  const child = spawn(process.execPath, [wasmline, ...args], { cwd: work, stdio: "inherit" });
  running.push(child);
  const [status] = await once(child, "exit");
  if (status !== 0) process.exit(1);
}

/** The plugin's own resource, with the image that was pushed; and a host with a service behind it. */
function writeResources(port) {
  const plugin = readFileSync(join(work, name, "wasmplugin.yaml"), "utf8");
  mkdirSync(join(work, "resources"));
  const resources = { "plugin.yaml": plugin.replace(/url: .*/, `url: oci://${image}`), "site.yaml": site(port) };
  for (const [file, text] of Object.entries(resources)) writeFileSync(join(work, "resources", file), text);
}

/** Starts all roles with one of the gateways, and asks it. */
async function showOn(gateway) {
  const offset = await freeOffset();
  const args = ["up", "-f", "resources", "--gateway", gateway, "--port-offset", String(offset)];
  const data = ["--data-dir", join(work, gateway), "--drain-seconds", "0", "--log-level", "error"];
  console.log(`$ wasmline ${args.join(" ")}`);
  const child = spawn(process.execPath, [wasmline, ...args, ...data], {
    cwd: work,
    stdio: ["ignore", "pipe", "inherit"],
  });
  running.push(child);
  await untilLine(child, /^ready /);
  const answer = await ask(8080 + offset);
  console.log(`$ curl -i -H 'Host: example.com' http://127.0.0.1:${8080 + offset}/`);
  console.log(`${gateway}: ${answer.status} x-greeting: ${answer.greeting}`);
  child.kill("SIGTERM");
  await once(child, "exit");
  if (answer.greeting !== `hello from ${name}`) process.exit(1);
}

function ask(port) {
  return new Promise((resolve, reject) => {
    const asked = request({ host: "127.0.0.1", port, headers: { host: "example.com" } }, (answer) => {
      answer.resume();
      resolve({ status: answer.statusCode, greeting: answer.headers["x-greeting"] });
    });
    asked.on("error", reject).end();
  });
}

/** Debian's docker-registry, keeping what it gets in a folder that goes with this script. */
async function startRegistry() {
  const config = join(work, "registry.yml");
  const storage = `storage:\n  filesystem:\n    rootdirectory: ${join(work, "registry")}`;
  writeFileSync(config, `version: 0.1\nlog:\n  accesslog:\n    disabled: true\n${storage}\nhttp:\n  addr: 127.0.0.1:0\n`);
  const child = spawn("docker-registry", ["serve", config], { stdio: ["ignore", "ignore", "pipe"] });
  running.push(child);
  child.on("error", () => {
    console.error("docker-registry is not in PATH: apt-get install docker-registry, or give --registry HOST");
    process.exit(1);
  });
  return (await untilLine(child, /listening on (127\.0\.0\.1:\d+)/, child.stderr))[1];
}

/** Reads a program's output to its end; resolves with the first line that matches. */
function untilLine(child, pattern, stream = child.stdout) {
  return new Promise((resolve, reject) => {
    createInterface({ input: stream }).on("line", (line) => {
      const match = pattern.exec(line);
      if (match) resolve(match);
    });
    child.once("exit", () => reject(new Error(`${child.spawnargs.join(" ")} ended too early`)));
  });
}

/** Is added to the ports of all roles, so that what else runs here is not in the way. */
async function freeOffset() {
  const ports = [8080, 8443, 8888, 15000, 15010, 15014, 15020, 15051];
  for (let offset = 1000 + (process.pid % 100); offset < 17_000; offset += 100) {
    const free = await Promise.all(ports.map((port) => isFree(port + offset)));
    if (free.every(Boolean)) return offset;
  }
  throw new Error("no free ports were found");
}

function isFree(port) {
  return new Promise((resolve) => {
    const server = createPort().once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

function site(port) {
  return `apiVersion: v1
kind: Service
metadata: { name: site, namespace: default }
spec: { ports: [{ name: http, port: 80 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: site-1, namespace: default, labels: { kubernetes.io/service-name: site } }
addressType: IPv4
endpoints: [{ addresses: [127.0.0.1] }]
ports: [{ name: http, port: ${port} }]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: site, namespace: default }
spec:
  rules:
    - host: example.com
      http: { paths: [{ path: /, pathType: Prefix, backend: { service: { name: site, port: { number: 80 } } } }] }
`;
}
