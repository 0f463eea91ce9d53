{{/*
The options as variables: `some-name` is GITSYNC_SOME_NAME. The link is `current` unless a file of many repositories or
the option says otherwise. The probes need the HTTP server.
*/}}
{{- define "syncline.env" -}}
{{- $options := .options | default dict -}}
{{- $defaults := dict "root" "/git" -}}
{{- if not (hasKey $options "config") }}{{ $_ := set $defaults "link" "current" }}{{ end -}}
{{- if .once }}
{{- $_ := set $defaults "one-time" true -}}
{{- else }}
{{- $_ := set $defaults "http-bind" ":8090" -}}
{{- if .metrics }}{{ $_ := set $defaults "http-metrics" true }}{{ end -}}
{{- end }}
{{- range $name, $value := merge (deepCopy $options) $defaults }}
- name: GITSYNC_{{ $name | upper | replace "-" "_" }}
  value: {{ include "syncline.text" (list $name $value) | quote }}
{{- end }}
{{- end }}

{{/* A value as it would be typed. Helm reads whole numbers as floating ones, and would write large ones as 1e+06. */}}
{{- define "syncline.text" -}}
{{- $name := index . 0 -}}
{{- $value := index . 1 -}}
{{- if kindIs "string" $value -}}
{{ $value }}
{{- else if kindIs "bool" $value -}}
{{ $value }}
{{- else if or (kindIs "float64" $value) (kindIs "int" $value) (kindIs "int64" $value) -}}
{{ $value | int64 }}
{{- else -}}
{{- fail (printf "syncline: the option %s must be a text, a whole number, true or false" $name) -}}
{{- end -}}
{{- end }}

{{- define "syncline.port" -}}
{{- get (.options | default dict) "http-bind" | default ":8090" | splitList ":" | last -}}
{{- end }}

{{/* A misspelt parameter would do nothing. */}}
{{- define "syncline.check" -}}
{{- $known := list "name" "image" "imagePullPolicy" "options" "env" "envFrom" "metrics" "once" "volume" "emptyDir" "secretName" "resources" "securityContext" "volumeMounts" -}}
{{- range $name := keys . | sortAlpha -}}
{{- if not (has $name $known) -}}
{{- fail (printf "syncline: there is no parameter %s; there are %s" $name (join ", " $known)) -}}
{{- end -}}
{{- end -}}
{{- range $name := list "password" "bearer-token" "github-app-private-key" "receive-secret" -}}
{{- if hasKey ($.options | default dict) $name -}}
{{- fail (printf "syncline: the option %s is a secret; give it as env with valueFrom, or use secretName" $name) -}}
{{- end -}}
{{- end -}}
{{- end }}
