{{/*
The volumes that the containers mount: the content and, with `secretName`, a secret at /etc/git-secret, whose keys `ssh` and
`known_hosts` syncline finds by itself. The pod's fsGroup must be able to read it.
*/}}
{{- define "syncline.volume" -}}
{{- include "syncline.check" . -}}
- name: {{ .volume | default "syncline" }}
  emptyDir: {{ .emptyDir | default dict | toJson }}
{{- include "syncline.secretVolumeOnly" . }}
{{- end }}

{{- define "syncline.secretVolumeOnly" -}}
{{- if .secretName }}
- name: {{ include "syncline.secretVolume" . }}
  secret: {secretName: {{ .secretName }}, defaultMode: 288} # 0440
{{- end }}
{{- end }}

{{- define "syncline.secretVolume" -}}
{{ .volume | default "syncline" }}-secret
{{- end }}
