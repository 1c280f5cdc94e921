// Runs the chapter's example: wasmline with its gateway, and the little server behind the example's services.
// Prints the requests to try, with the answers to expect. Ctrl-C stops all of it.
//   npm start [-- FLAGS OF wasmline up, such as --gateway envoy or --port-offset 1000]
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");
const flags = process.argv.slice(2);
const at = flags.indexOf("--port-offset");
const offset = Number(at < 0 ? (process.env.WASMLINE_PORT_OFFSET ?? 0) : flags[at + 1]);
const dataDir = mkdtempSync(join(tmpdir(), "wasmline-"));

const upstream = createServer((request, response) => response.end(`echo-server got ${request.url}\n`));
upstream.on("error", (error) => {
  console.error(`the example's upstream cannot listen on 127.0.0.1:8081: ${error.message}`);
  process.exit(1);
});
upstream.listen(8081, "127.0.0.1");

const wasmline = spawn(
  process.execPath,
  [
    ...[join(root, "dist/cli/main.js"), "up", "-f", here, "--data-dir", dataDir],
    // The images that the chapter names, from the registry built in: no network is needed.
    ...["--layout", join(root, "build/images")],
    ...["--registry-mirror", `higress-registry.cn-hangzhou.cr.aliyuncs.com=127.0.0.1:${5080 + offset}`],
    ...flags,
  ],
  { stdio: ["ignore", "pipe", "inherit"] },
);
wasmline.stdout.setEncoding("utf8").on("data", (text) => {
  process.stdout.write(text);
  if (/^ready /m.test(text)) console.log(requests);
});
wasmline.on("exit", (status) => {
  upstream.close();
  rmSync(dataDir, { recursive: true, force: true });
  process.exit(status ?? 1);
});
// The terminal sends Ctrl-C to both; we end when wasmline has drained.
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => wasmline.kill("SIGTERM"));

const requests = `
The plugin custom-response answers by where a request goes. In another terminal:

  curl -i -H 'Host: foo.com'   http://127.0.0.1:${8080 + offset}/    # domain:   key2: value2   {"hello":"foo"}
  curl -i -H 'Host: bar.com'   http://127.0.0.1:${8080 + offset}/    # ingress:  key3: value3   {"hello":"bar"}
  curl -i -H 'Host: echo.com'  http://127.0.0.1:${8080 + offset}/    # service:  key4: value4   {"hello":"echo server"}
  curl -i -H 'Host: other.com' http://127.0.0.1:${8080 + offset}/    # default:  key1: value1   {"hello":"foo"}

Change a value in ${relative(process.cwd(), join(here, "custom-response.yaml"))}, save it, and ask again: it is in effect.
What core made of the files: curl -s 'http://127.0.0.1:${8888 + offset}/debug/configz?pretty'   Ctrl-C ends it.
`;
