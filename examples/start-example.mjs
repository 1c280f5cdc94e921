// What the examples' start.mjs have in common: wasmline with its gateway on a folder, and the server behind the services.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

/**
 * Runs wasmline on a folder until Ctrl-C. `answer` is the server behind the services, on port 8081; `requests` gives what
 * is printed once traffic is served, by the gateway's port.
 */
export function startExample(folder, { answer, requests }) {
  const flags = process.argv.slice(2);
  const at = flags.indexOf("--port-offset");
  const offset = Number(at < 0 ? (process.env.WASMLINE_PORT_OFFSET ?? 0) : flags[at + 1]);
  const dataDir = mkdtempSync(join(tmpdir(), "wasmline-"));
  const upstream = createServer(answer);
  upstream.on("error", (error) => {
    console.error(`the example's upstream cannot listen on 127.0.0.1:8081: ${error.message}`);
    process.exit(1);
  });
  upstream.listen(8081, "127.0.0.1");
  const wasmline = spawn(
    process.execPath,
    [
      ...[join(root, "dist/cli/main.js"), "up", "-f", folder, "--data-dir", dataDir],
      // The images that the chapter names, from the registry built in: no network is needed.
      ...["--layout", join(root, "build/images")],
      ...["--registry-mirror", `higress-registry.cn-hangzhou.cr.aliyuncs.com=127.0.0.1:${5080 + offset}`],
      ...flags,
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  wasmline.stdout.setEncoding("utf8").on("data", (text) => {
    process.stdout.write(text);
    if (/^ready /m.test(text)) console.log(requests(8080 + offset, offset));
  });
  wasmline.on("exit", (status) => {
    upstream.close();
    rmSync(dataDir, { recursive: true, force: true });
    process.exit(status ?? 1);
  });
  // The terminal sends Ctrl-C to both; we end when wasmline has drained.
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => wasmline.kill("SIGTERM"));
}
