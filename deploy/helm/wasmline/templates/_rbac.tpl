{{/* What core reads wherever it looks. */}}
{{- define "wasmline.readRules" -}}
- apiGroups: [extensions.higress.io]
  resources: [wasmplugins]
  verbs: [get, list, watch]
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [services, configmaps]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
{{- end -}}
