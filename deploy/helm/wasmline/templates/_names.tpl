{{- define "wasmline.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "wasmline.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "wasmline.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "wasmline.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "wasmline.core" -}}{{ include "wasmline.fullname" . }}-core{{- end -}}
{{- define "wasmline.discovery" -}}{{ include "wasmline.fullname" . }}-discovery{{- end -}}
{{- define "wasmline.gateway" -}}{{ include "wasmline.fullname" . }}-{{ .Values.gateway.name }}{{- end -}}

{{- define "wasmline.selectorValue" -}}
{{- default (printf "%s-%s" .Release.Namespace (include "wasmline.gateway" .)) .Values.gatewaySelector.value -}}
{{- end -}}

{{/* Labels of an object: (list $ "component") */}}
{{- define "wasmline.labels" -}}
{{- $root := index . 0 -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: wasmline
{{ include "wasmline.selector" . }}
{{- end -}}

{{/* What finds a role's Pods: (list $ "component") */}}
{{- define "wasmline.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "wasmline.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* An image: (list $ .Values.image) */}}
{{- define "wasmline.image" -}}
{{- $root := index . 0 -}}{{- $image := index . 1 -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ default $root.Chart.AppVersion $image.tag }}
{{- end -}}
{{- end -}}

{{/* host:port of what serves ADS over TLS to gateways. */}}
{{- define "wasmline.discoveryTarget" -}}
{{- if .Values.gateway.discovery -}}
{{ .Values.gateway.discovery }}
{{- else -}}
{{ include "wasmline.discovery" . }}.{{ .Release.Namespace }}.svc:15012
{{- end -}}
{{- end -}}

{{/* Whether MCP is between two roles of this release: then it is encrypted, and for discovery only. */}}
{{- define "wasmline.mcpIsOurs" -}}{{ if and .Values.core.enabled .Values.discovery.enabled (not .Values.discovery.core) }}true{{ end }}{{- end -}}

{{- define "wasmline.coreTls" -}}{{ if eq .Values.tls.source "secrets" }}{{ .Values.tls.secrets.core }}{{ else }}{{ include "wasmline.core" . }}-tls{{ end }}{{- end -}}
{{- define "wasmline.discoveryTls" -}}{{ if eq .Values.tls.source "secrets" }}{{ .Values.tls.secrets.discovery }}{{ else }}{{ include "wasmline.discovery" . }}-tls{{ end }}{{- end -}}
{{- define "wasmline.webhookTls" -}}{{ if eq .Values.tls.source "secrets" }}{{ .Values.tls.secrets.webhook }}{{ else }}{{ include "wasmline.fullname" . }}-webhook-tls{{ end }}{{- end -}}

{{/* The names that a Service's certificate is for, as a YAML list: (list $ "service") */}}
{{- define "wasmline.dnsNames" -}}
{{- $root := index . 0 -}}{{- $name := index . 1 -}}
- {{ $name }}.{{ $root.Release.Namespace }}.svc
- {{ $name }}.{{ $root.Release.Namespace }}.svc.{{ $root.Values.clusterDomain }}
- {{ $name }}.{{ $root.Release.Namespace }}
{{- end -}}
