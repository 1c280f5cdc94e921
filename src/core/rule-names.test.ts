import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { formatPath } from "../resource/diagnostic.ts";
import { parseDocuments } from "../resource/parse.ts";
import { combineFiles } from "../resource/source-state.ts";
import { type ConvertOptions, defaultConvertOptions } from "./convert-options.ts";
import { type Conversion, convertResources } from "./convert-resources.ts";

const options: ConvertOptions = { ...defaultConvertOptions, ingressClass: "higress" };

function readerOf() {
  let file: ReturnType<typeof parseDocuments> | undefined;
  let state: ReturnType<typeof combineFiles> | undefined;
  return (objects: readonly object[]) => {
    file = parseDocuments(objects.map((object) => `${JSON.stringify(object)}\n`).join("---\n"), "a.yaml", {
      previous: file,
    });
    assert.deepEqual(file.diagnostics, []);
    state = combineFiles([file], state);
    return state.set;
  };
}

function ingress(namespace: string, name: string, ingressClassName = "higress") {
  const backend = { service: { name: "echo", port: { number: 80 } } };
  const http = { paths: [{ path: "/", pathType: "Prefix", backend }] };
  return {
    ...{ apiVersion: "networking.k8s.io/v1", kind: "Ingress", metadata: { namespace, name } },
    spec: { ingressClassName, rules: [{ host: `${name}.com`, http }] },
  };
}

function service(namespace: string, name: string) {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { namespace, name },
    spec: { ports: [{ port: 80 }] },
  };
}

function plugin(...matchRules: readonly object[]) {
  return {
    ...{ apiVersion: "extensions.higress.io/v1alpha1", kind: "WasmPlugin", metadata: { name: "a" } },
    spec: { url: "oci://example.com/a:1", matchRules: matchRules.map((rule) => ({ config: {}, ...rule })) },
  };
}

const there = [ingress("shop", "cart"), ingress("higress-system", "status"), service("shop", "echo")];

function remarksOn({ plugins }: Conversion) {
  return plugins[0]!.diagnostics.map(({ severity, at, message, hint }) => [
    severity,
    formatPath(at.path!),
    message,
    hint,
  ]);
}

function remarks(rule: object, ...others: readonly object[]) {
  return remarksOn(convertResources(readerOf()([...there, ...others, plugin(rule)]), options));
}

const place = (field: string, index = 0) => `spec.matchRules[0].${field}[${index}]`;

suite("what rules name", () => {
  test("is as requests have it: nothing is said", () => {
    const names = {
      domain: ["foo.com", "*.foo.com", "foo.*", "*", "[::1]", "localhost"],
      ingress: ["shop/cart", "status"],
      service: [
        "echo.shop.svc.cluster.local",
        "echo.shop.svc.cluster.local:80",
        "*.svc.cluster.local",
        "pay.dns",
      ],
    };
    assert.deepEqual(remarks(names), []);
  });

  test("is an Ingress that is not there, or is named otherwise", () => {
    const nothing = "so the rule matches no request by it";
    const form = "write namespace/name, or the name alone for those of the system namespace";
    assert.deepEqual(remarks({ ingress: ["cart", "shop/cort", "higress-system/status", "other"] }), [
      [
        "warning",
        place("ingress", 0),
        `there is no Ingress cart in namespace higress-system, ${nothing}`,
        "there is shop/cart",
      ],
      ["warning", place("ingress", 1), `there is no Ingress shop/cort, ${nothing}`, form],
      [
        "warning",
        place("ingress", 2),
        `no route is named higress-system/status, ${nothing}`,
        "there is status",
      ],
      [
        "warning",
        place("ingress", 3),
        `there is no Ingress other in namespace higress-system, ${nothing}`,
        form,
      ],
    ]);
  });

  test("is an Ingress of another class", () => {
    assert.deepEqual(remarks({ ingress: ["shop/old"] }, ingress("shop", "old", "nginx")), [
      [
        "warning",
        place("ingress"),
        'Ingress shop/old is of another class than "higress", so the rule matches no request by it',
        "set its spec.ingressClassName to higress",
      ],
    ]);
  });

  test("is a Service that is not there, or has no such name in requests", () => {
    const nothing = "so the rule matches no request by it";
    const hint = "write echo.shop.svc.cluster.local, with or without :port";
    assert.deepEqual(
      remarks({ service: ["gone.shop.svc.cluster.local:80", "echo.shop", "echo.shop.svc", "echo"] }),
      [
        [
          "warning",
          place("service", 0),
          `there is no Service gone in namespace shop, ${nothing}`,
          "create the Service, or correct the name",
        ],
        ["warning", place("service", 1), `no upstream is named echo.shop, ${nothing}`, hint],
        ["warning", place("service", 2), `no upstream is named echo.shop.svc, ${nothing}`, hint],
        [
          "warning",
          place("service", 3),
          `no upstream is named echo, ${nothing}`,
          "write echo.NAMESPACE.svc.cluster.local, with or without :port",
        ],
      ],
    );
  });

  test("is more than a host", () => {
    const places = remarks({ domain: ["http://foo.com/", "foo.com:8080", "foo.com/a", "foo.com"] });
    assert.deepEqual(
      places.map(([, at]) => at),
      [place("domain", 0), place("domain", 1), place("domain", 2)],
    );
    assert.match(`${places[1]![2]}`, /"foo.com:8080", expected a host without scheme, port and path/);
  });

  test("does not matter in a rule that is off, of a GRPCRoute, or where routes and services come from elsewhere", () => {
    assert.deepEqual(remarks({ ingress: ["other"], configDisable: true }), []);
    assert.deepEqual(remarks({ ingress: ["other"], routeType: "GRPC" }), []);
    const alone = [plugin({ ingress: ["other"], service: ["gone.shop.svc.cluster.local"] })];
    assert.deepEqual(remarksOn(convertResources(readerOf()(alone), options)), []);
  });
});

test("a plugin stays the same object until what it names comes or goes", () => {
  const read = readerOf();
  const rules = plugin({ ingress: ["shop/later"] });
  const all: Conversion[] = [];
  const convert = (...objects: readonly object[]) => {
    const conversion = convertResources(read([...there, rules, ...objects]), options, all.at(-1));
    all.push(conversion);
    return conversion.plugins[0]!;
  };
  const missing = convert();
  assert.equal(convert(ingress("shop", "other")), missing);
  assert.equal(missing.status.state, "accepted");
  const edited = ingress("shop", "later");
  const present = convert(edited);
  assert.deepEqual(present.diagnostics, []);
  assert.equal(present.config, missing.config);
  edited.spec.rules[0]!.host = "elsewhere.com";
  assert.equal(convert(edited), present);
  assert.deepEqual(convert().diagnostics, missing.diagnostics);
});
