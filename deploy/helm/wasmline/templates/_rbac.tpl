{{/* What core reads, and what its leader writes, wherever it looks. */}}
{{- define "wasmline.coreRules" -}}
- apiGroups: [extensions.higress.io]
  resources: [wasmplugins]
  verbs: [get, list, watch]
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
# What the leader says of each WasmPlugin, also of those that are in the wrong namespace.
- apiGroups: [extensions.higress.io]
  resources: [wasmplugins/status]
  verbs: [patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end -}}
