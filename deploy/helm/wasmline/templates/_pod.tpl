{{/* What is the same in every Pod: (list $ "component" $values) */}}
{{- define "wasmline.podMetadata" -}}
{{- $root := index . 0 -}}{{- $component := index . 1 -}}{{- $values := index . 2 -}}
{{- with $values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
labels:
  {{- include "wasmline.labels" (list $root $component) | nindent 2 }}
  {{- with $values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "wasmline.podSpec" -}}
{{- $root := index . 0 -}}{{- $component := index . 1 -}}{{- $values := index . 2 -}}
# Kubernetes' variables for a Service "wasmline-core" would be read as flags (WASMLINE_CORE_PORT=tcp://…).
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
  {{- if and (eq $component $root.Values.gateway.name) (lt (min $root.Values.ports.http $root.Values.ports.https | int) 1024) }}
  # Low ports for who is not root; of this Pod's network only.
  sysctls:
    - {name: net.ipv4.ip_unprivileged_port_start, value: "0"}
  {{- end }}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
{{- if $values.topologySpreadConstraints }}
  {{- toYaml $values.topologySpreadConstraints | nindent 2 }}
{{- else }}
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "wasmline.selector" (list $root $component) | nindent 8 }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "wasmline.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{- define "wasmline.logArgs" -}}
- --log-level={{ .Values.log.level }}
- --log-format={{ .Values.log.format }}
{{- end -}}

{{/* Probes of a role's HTTP port: (list "path of readiness" "path of liveness") */}}
{{- define "wasmline.probes" -}}
readinessProbe:
  httpGet: {path: {{ index . 0 }}, port: http-status}
  periodSeconds: 5
  timeoutSeconds: 3
# The figures come from memory: they are answered unless the program hangs. Readiness also says that somebody else is away,
# which no restart would mend.
livenessProbe:
  httpGet: {path: {{ index . 1 }}, port: http-status}
  periodSeconds: 20
  timeoutSeconds: 10
  failureThreshold: 6
  # What hangs will not drain.
  terminationGracePeriodSeconds: 5
{{- end -}}

{{/* How many Pods a Deployment has: (list $ "name" $values) */}}
{{- define "wasmline.replicas" -}}
{{- $root := index . 0 -}}{{- $name := index . 1 -}}{{- $values := index . 2 -}}
{{- if not $values.hpa.enabled -}}
replicas: {{ $values.replicas }}
{{- else -}}
{{- /* Without the field an upgrade that enables autoscaling would set it to 1 until the autoscaler has looked. */ -}}
{{- with (lookup "apps/v1" "Deployment" $root.Release.Namespace $name) -}}
replicas: {{ max 1 .spec.replicas }}
{{- end -}}
{{- end -}}
{{- end -}}
