{{/* How a gateway names itself: the agent and the embedded gateway say the same. */}}
{{- define "wasmline.nodeArgs" -}}
- --node-name=$(POD_NAME)
- --node-namespace=$(POD_NAMESPACE)
- --node-ip=$(POD_IP)
- --node-label={{ .Values.gatewaySelector.key }}={{ include "wasmline.selectorValue" . }}
{{- end -}}

{{- define "wasmline.nodeEnv" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: POD_IP
  valueFrom: {fieldRef: {fieldPath: status.podIP}}
{{- end -}}

{{- define "wasmline.trafficPorts" -}}
- name: http
  containerPort: {{ .Values.ports.http }}
  {{- with .Values.gateway.hostPort.http }}
  hostPort: {{ . }}
  {{- end }}
- name: https
  containerPort: {{ .Values.ports.https }}
  {{- with .Values.gateway.hostPort.https }}
  hostPort: {{ . }}
  {{- end }}
{{- end -}}
