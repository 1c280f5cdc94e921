// The chart: what helm makes of the values in charts/, folder by folder. `--update` writes manifests.yaml and the generated
// parts of the chart anew; without it they are compared.
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  chart,
  type Manifest,
  readManifests,
  readValueSets,
  renderChart,
  runHelm,
  withoutCertificates,
} from "./charts.ts";
import { flagsOf } from "./role-flags.ts";
import { withValuesTable } from "./values-table.ts";

const update = process.argv.includes("--update");
const crds = fileURLToPath(new URL("../../api/crds/", import.meta.url));

suite("the chart", () => {
  for (const { name, values, expected, goldenPath } of readValueSets()) {
    test(`${name}: the manifests are those that were read over`, async () => {
      const { status, stdout, stderr } = await runHelm(["lint", "--strict", chart], values);
      assert.equal(status, 0, `${stdout}${stderr}`);
      const text = withoutCertificates(await renderChart(values));
      if (update) writeFileSync(goldenPath, text);
      else assert.equal(text, expected);
    });

    test(`${name}: every flag is one of its role, and no variable of Kubernetes can be read as one`, async () => {
      const templates = readManifests(await renderChart(values)).flatMap(({ spec }) => spec?.template ?? []);
      assert.ok(templates.length > 0);
      for (const { spec } of templates) {
        assert.equal(spec.enableServiceLinks, false);
        for (const { args } of spec.containers) {
          const [role, ...flags] = args;
          const known = flagsOf(role!);
          const unknown = flags.map((flag) => flag.split("=")[0]!).filter((flag) => !known.has(flag));
          assert.deepEqual(unknown, [], role);
        }
      }
    });
  }

  const refused: readonly [values: object, complaint: RegExp][] = [
    [{ gateway: { kind: "nginx" } }, /\/gateway\/kind.*'embedded', 'envoy'/],
    [{ core: { replica: 3 } }, /\/core.*'replica' not allowed/],
    [{ ports: { http: 0 } }, /\/ports\/http.*got 0/],
    [{ image: { digest: "latest" } }, /\/image\/digest/],
    [{ core: { webhook: { failurePolicy: "Sometimes" } } }, /\/core\/webhook\/failurePolicy/],
    [{ gateway: { name: "core" } }, /\/gateway\/name/],
    [{ discovery: { core: "http://core/" } }, /\/discovery\/core/],
    [{ core: { extraArgs: ["watch"] } }, /\/core\/extraArgs\/0/],
    [
      { core: { enabled: false } },
      /discovery has nobody to follow: set core\.enabled=true, or discovery\.core/,
    ],
    [{ discovery: { enabled: false } }, /the gateway has nobody to follow: set discovery\.enabled=true/],
    [{ discovery: { enabled: false }, gateway: { discovery: "istiod:15012" } }, /set gateway\.ca\.secret/],
    [{ tls: { source: "secrets" } }, /needs tls\.secrets\.discovery/],
  ];
  for (const [values, complaint] of refused)
    test(`refused with the reason: ${JSON.stringify(values)}`, async () => {
      await assert.rejects(renderChart(values), complaint);
    });

  test("a NetworkPolicy and a probe name only ports that the Pods have", async () => {
    const manifests = readManifests(await renderChart({ podMonitor: { enabled: true } }));
    const ports = new Map<string, Set<string>>();
    for (const { metadata, spec } of manifests)
      if (spec?.template)
        ports.set(
          metadata.name,
          new Set(spec.template.spec.containers.flatMap((one) => one.ports.map((port) => port.name))),
        );
    for (const manifest of manifests)
      for (const name of namedPorts(manifest)) {
        const own = ports.get(manifest.metadata.name.replace(/-replicas$/, ""));
        assert.ok(own?.has(name), `${manifest.kind} ${manifest.metadata.name}: ${name}`);
      }
    assert.equal(ports.size, 3);
  });

  test("its CRDs are those of api/crds", () => {
    const names = readdirSync(crds);
    const copies = join(chart, "crds");
    if (update) for (const name of names) writeFileSync(join(copies, name), readFileSync(join(crds, name)));
    assert.deepEqual(readdirSync(copies), names);
    for (const name of names)
      assert.equal(readFileSync(join(copies, name), "utf8"), readFileSync(join(crds, name), "utf8"), name);
  });

  test("its README has every value, as values.yaml and the schema have it", () => {
    const path = join(chart, "README.md");
    const text = readFileSync(path, "utf8");
    const current = withValuesTable(text, chart);
    if (update) writeFileSync(path, current);
    else assert.equal(text, current);
  });
});

/** Names of ports that a NetworkPolicy, a Service, a probe or a PodMonitor speaks of. */
function namedPorts(manifest: Manifest): string[] {
  const found: string[] = [];
  JSON.stringify(manifest.spec ?? {}, (key, value: unknown) => {
    if ((key === "port" || key === "targetPort") && typeof value === "string") found.push(value);
    return value;
  });
  return found;
}
