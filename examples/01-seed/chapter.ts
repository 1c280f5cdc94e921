/** What custom-response answers to each host of the example, and why: one header and a body. */
export const outcomes = [
  {
    rule: "no rule, so the default",
    host: "other.com",
    header: "key1",
    value: "value1",
    body: '{"hello":"foo"}',
  },
  {
    rule: "the rule for the domain",
    host: "foo.com",
    header: "key2",
    value: "value2",
    body: '{"hello":"foo"}',
  },
  {
    rule: "the rule for the ingress",
    host: "bar.com",
    header: "key3",
    value: "value3",
    body: '{"hello":"bar"}',
  },
  {
    rule: "the rule for the service",
    host: "echo.com",
    header: "key4",
    value: "value4",
    body: '{"hello":"echo server"}',
  },
];

/** The Istio WasmPlugin that the chapter shows for custom-response at `/debug/configz`, to the byte. */
export const convertedCustomResponse = `kind: WasmPlugin
apiVersion: extensions.istio.io/v1alpha1
metadata:
  name: custom-response
  namespace: higress-system
spec:
  imagePullPolicy: Always
  phase: AUTHN
  pluginConfig:
    _rules_:
      - _match_domain_:
          - foo.com
        body: '{"hello":"foo"}'
        headers:
          - key2=value2
      - _match_route_:
          - higress-course/ingress-bar
        body: '{"hello":"bar"}'
        headers:
          - key3=value3
      - _match_service_:
          - echo-server.higress-course.svc.cluster.local
        body: '{"hello":"echo server"}'
        headers:
          - key4=value4
    body: '{"hello":"foo"}'
    headers:
      - key1=value1
  priority: 200
  selector:
    matchLabels:
      higress: higress-system-higress-gateway
  url: oci://higress-registry.cn-hangzhou.cr.aliyuncs.com/plugins/custom-response:1.0.0
`;

/** The `http_filters` that the chapter shows of Envoy's `/config_dump`. */
export const httpFilters = `- name: envoy.filters.http.cors
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors
- name: higress-system.custom-response
  config_discovery:
    config_source:
      ads: {}
      initial_fetch_timeout: 0s
      resource_api_version: V3
    default_config:
      "@type": type.googleapis.com/envoy.extensions.filters.http.composite.v3.Composite
    apply_default_config_without_warming: true
    type_urls:
      - type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
      - type.googleapis.com/envoy.extensions.filters.http.composite.v3.Composite
- name: higress-system.wasm-transformer
  config_discovery:
    config_source:
      ads: {}
      initial_fetch_timeout: 0s
      resource_api_version: V3
    default_config:
      "@type": type.googleapis.com/envoy.extensions.filters.http.composite.v3.Composite
    apply_default_config_without_warming: true
    type_urls:
      - type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
      - type.googleapis.com/envoy.extensions.filters.http.composite.v3.Composite
- name: envoy.filters.http.rbac
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC
- name: envoy.filters.http.local_ratelimit
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
    stat_prefix: http_local_rate_limiter
- name: higress-system.wasm-keyauth
  config_discovery:
    config_source:
      ads: {}
      initial_fetch_timeout: 0s
      resource_api_version: V3
    default_config:
      "@type": type.googleapis.com/envoy.extensions.filters.http.composite.v3.Composite
    apply_default_config_without_warming: true
    type_urls:
      - type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
      - type.googleapis.com/envoy.extensions.filters.http.composite.v3.Composite
- name: higress-system.easy-logger
  config_discovery:
    config_source:
      ads: {}
      initial_fetch_timeout: 0s
      resource_api_version: V3
    default_config:
      "@type": type.googleapis.com/envoy.extensions.filters.http.composite.v3.Composite
    apply_default_config_without_warming: true
    type_urls:
      - type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
      - type.googleapis.com/envoy.extensions.filters.http.composite.v3.Composite
- name: envoy.filters.http.fault
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault
- name: envoy.filters.http.router
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
`;
