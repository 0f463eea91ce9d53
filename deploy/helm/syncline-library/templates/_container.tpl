{{/*
An ordinary container that keeps syncing. It starts together with the application, so put "syncline.initContainer" with
`once` before it if the application needs content from its first moment on.
*/}}
{{- define "syncline.container" -}}
{{- include "syncline.check" . -}}
{{- include "syncline.containerFields" . }}
  {{- include "syncline.probes" . }}
{{- end }}

{{/*
A native sidecar (Kubernetes 1.29 and later): it starts before the application, which waits for its first sync, and stops
after it. With `once: true` it is an init container that syncs once and ends.
*/}}
{{- define "syncline.initContainer" -}}
{{- include "syncline.check" . -}}
{{- include "syncline.containerFields" . }}
  {{- if not .once }}
  restartPolicy: Always
  # The application starts when there is something to read, however long that takes.
  startupProbe:
    exec: {command: [/syncline, healthcheck, /]}
    periodSeconds: 1
    failureThreshold: 600
  {{- include "syncline.probes" . }}
  {{- end }}
{{- end }}

{{- define "syncline.containerFields" -}}
{{- $root := get (.options | default dict) "root" | default "/git" -}}
- name: {{ .name | default (ternary "first-sync" "syncline" (.once | default false)) }}
  image: {{ required "syncline: give the image" .image | quote }}
  {{- with .imagePullPolicy }}
  imagePullPolicy: {{ . }}
  {{- end }}
  env:
    {{- include "syncline.env" . | trim | nindent 4 }}
    {{- with .env }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .envFrom }}
  envFrom:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if and .metrics (not .once) }}
  ports:
    - {name: syncline, containerPort: {{ include "syncline.port" . }}}
  {{- end }}
  resources:
    {{- .resources | default (include "syncline.resources" . | fromYaml) | toYaml | nindent 4 }}
  securityContext:
    {{- .securityContext | default (include "syncline.securityContext" . | fromYaml) | toYaml | nindent 4 }}
  # kubectl describe then shows why it ended.
  terminationMessagePolicy: FallbackToLogsOnError
  volumeMounts:
    - {name: {{ .volume | default "syncline" }}, mountPath: {{ $root }}}
    {{- if .secretName }}
    - {name: {{ include "syncline.secretVolume" . }}, mountPath: /etc/git-secret, readOnly: true}
    {{- end }}
    {{- with .volumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{- define "syncline.probes" }}
  # Keep serving while upstream is down: only / and /livez are probed.
  readinessProbe:
    exec: {command: [/syncline, healthcheck, /]}
  livenessProbe:
    exec: {command: [/syncline, healthcheck, /livez]}
    timeoutSeconds: 5
{{- end }}

{{- define "syncline.resources" -}}
requests: {cpu: 5m, memory: 32Mi}
limits: {memory: 256Mi}
{{- end }}

{{- define "syncline.securityContext" -}}
runAsNonRoot: true
runAsUser: 65533
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
