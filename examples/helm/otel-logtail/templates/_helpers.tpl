{{- define "otel-logtail.name" -}}
{{ if contains "otel-logtail" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}-otel-logtail{{ end }}
{{- end }}

{{- define "otel-logtail.selector" -}}
app.kubernetes.io/name: otel-logtail
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "otel-logtail.labels" -}}
{{ include "otel-logtail.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "otel-logtail.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "otel-logtail.config" -}}
{{- if .Values.config -}}
{{ .Values.config }}
{{- else -}}
[source.{{ required "observer or config is required" .Values.observer | toJson }}]
observer = {{ .Values.observer | toJson }}
paths = {{ .Values.paths | toJson }}

[exporter.otlp]
{{- end }}
{{- end }}

{{- define "otel-logtail.storeVolume" -}}
{{ if eq .Values.kind "Sidecar" }}{{ required "store.volume is required: the pod's volume for the store" .Values.store.volume }}{{ else }}store{{ end }}
{{- end }}

{{- define "otel-logtail.storePath" -}}
{{ .Values.store.hostPath | default (printf "/var/lib/%s" (include "otel-logtail.name" .)) }}
{{- end }}

{{/* USER:GROUP of the pod, for chown; empty without both. A number of a values file is a float: int64 keeps its digits. */}}
{{- define "otel-logtail.owner" -}}
{{- with .Values.podSecurityContext -}}
{{ if not (kindIs "invalid" .runAsUser) }}{{ int64 .runAsUser }}{{ end }}{{ if not (kindIs "invalid" .runAsGroup) }}:{{ int64 .runAsGroup }}{{ end }}
{{- end }}
{{- end }}

{{/* The container, for `containers`, or for `initContainers` of another chart: the value kind must be Sidecar there. */}}
{{- define "otel-logtail.container" -}}
- name: otel-logtail
  image: {{ include "otel-logtail.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  {{- if eq .Values.kind "Sidecar" }}
  # it starts before the program and stops after it, so that it reads and delivers the program's last lines
  restartPolicy: Always
  {{- end }}
  args:
    - --config=/etc/otel-logtail/otel-logtail.toml
    # the kubelet asks the pod's address
    - --health-port={{ .Values.health.port }}
    - --health-host=$(POD_IP)
  env:
    - name: NODE_NAME
      valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
    - name: NODE_IP
      valueFrom: {fieldRef: {fieldPath: status.hostIP}}
    - name: POD_IP
      valueFrom: {fieldRef: {fieldPath: status.podIP}}
    - name: POD_NAME
      valueFrom: {fieldRef: {fieldPath: metadata.name}}
    - name: POD_NAMESPACE
      valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
    - name: OTEL_RESOURCE_ATTRIBUTES  # the name of a DaemonSet's pod changes with each update
      value: {{ if eq .Values.kind "DaemonSet" }}host.name=$(NODE_NAME){{ else }}k8s.pod.name=$(POD_NAME),k8s.namespace.name=$(POD_NAMESPACE){{ end }},k8s.node.name=$(NODE_NAME)
    - name: OTEL_LOGTAIL_DB
      value: /var/lib/otel-logtail/otel-logtail.db
    {{- with .Values.otlp.endpoint }}
    - name: OTEL_EXPORTER_OTLP_ENDPOINT
      value: {{ . | quote }}
    {{- end }}
    {{- with .Values.otlp.headersSecret }}
    {{- if .name }}
    - name: OTEL_EXPORTER_OTLP_HEADERS
      valueFrom: {secretKeyRef: {name: {{ .name | quote }}, key: {{ .key | quote }}}}
    {{- end }}
    {{- end }}
    {{- with .Values.env }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  ports:
    - {name: otel-logtail, containerPort: {{ .Values.health.port }}}
  # a daemon that hangs is restarted; one that cannot deliver is not: it buffers
  livenessProbe:
    httpGet: {path: /livez, port: otel-logtail}
    periodSeconds: 30
    timeoutSeconds: 5
  {{- if ne .Values.kind "Sidecar" }}
  # an update waits until the logs are read and delivered. A sidecar has no such probe: a collector that is down would take
  # the program beside it out of its Service
  readinessProbe:
    httpGet: {path: /readyz, port: otel-logtail}
    periodSeconds: 30
    timeoutSeconds: 5
  {{- end }}
  securityContext:
    {{- toYaml .Values.securityContext | nindent 4 }}
  resources:
    {{- toYaml .Values.resources | nindent 4 }}
  volumeMounts:
    - {name: {{ if eq .Values.kind "Sidecar" }}{{ required "logs.volume is required: the pod's volume with the logs" .Values.logs.volume }}{{ else }}logs{{ end }}, mountPath: {{ .Values.logs.mountPath | quote }}, readOnly: true}
    - {name: {{ include "otel-logtail.storeVolume" . }}, mountPath: /var/lib/otel-logtail}
    - {name: otel-logtail-config, mountPath: /etc/otel-logtail, readOnly: true}
    {{- if and .Values.nodeTimezone (eq .Values.kind "DaemonSet") }}
    # timestamps without a time zone are in the node's local time
    - {name: localtime, mountPath: /etc/localtime, readOnly: true}
    {{- end }}
{{- end }}

{{/* The volume with the configuration, for `volumes`. */}}
{{- define "otel-logtail.configVolume" -}}
- name: otel-logtail-config
  configMap: {name: {{ include "otel-logtail.name" . }}}
{{- end }}

{{/* The pod of a DaemonSet or a StatefulSet. */}}
{{- define "otel-logtail.pod" -}}
metadata:
  labels:
    {{- include "otel-logtail.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # a changed configuration restarts the pod
    checksum/config: {{ include "otel-logtail.config" . | sha256sum | quote }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  terminationGracePeriodSeconds: 45
  automountServiceAccountToken: false
  # a Service named otel-logtail-prometheus would set OTEL_LOGTAIL_PROMETHEUS_PORT=tcp://...
  enableServiceLinks: false
  {{- with .Values.serviceAccountName }}
  serviceAccountName: {{ . }}
  {{- end }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- toYaml .Values.podSecurityContext | nindent 4 }}
  {{- $owner := include "otel-logtail.owner" . }}
  {{- if and $owner (eq .Values.kind "DaemonSet") }}
  initContainers:
    # root creates a hostPath; only an init container can change its owner
    - name: own-the-store
      image: {{ include "otel-logtail.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      command: [chown, {{ $owner | quote }}, /var/lib/otel-logtail]
      securityContext:
        runAsNonRoot: false
        runAsUser: 0
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL], add: [CHOWN]}
      resources:
        requests: {cpu: 10m, memory: 16Mi}
        limits: {memory: 64Mi}
      volumeMounts:
        - {name: store, mountPath: /var/lib/otel-logtail}
  {{- end }}
  containers:
    {{- include "otel-logtail.container" . | nindent 4 }}
  volumes:
    {{- include "otel-logtail.configVolume" . | nindent 4 }}
    - name: logs
      {{- if eq .Values.kind "DaemonSet" }}
      hostPath: {path: {{ .Values.logs.hostPath | quote }}, type: DirectoryOrCreate}
    - name: store
      hostPath: {path: {{ include "otel-logtail.storePath" . | quote }}, type: DirectoryOrCreate}
      {{- if .Values.nodeTimezone }}
    - name: localtime
      hostPath: {path: /etc/localtime, type: File}
      {{- end }}
      {{- else }}
      persistentVolumeClaim: {claimName: {{ required "logs.claim is required: the volume claim with the logs" .Values.logs.claim | quote }}, readOnly: true}
      {{- end }}
{{- end }}
