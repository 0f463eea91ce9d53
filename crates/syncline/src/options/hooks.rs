//! Hooks: what to run or to notify when something is published.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;

use super::table::{Opt, Setting, options, path, switch, text, value, words};
use super::values;

options! {
    "Hooks" {
        EXECHOOK_COMMAND: Opt<PathBuf> = path("exechook-command", "PATH")
            .older(&["GIT_SYNC_EXECHOOK_COMMAND"])
            .help("A program to run after each publication, in the new tree and with GITSYNC_HASH set");
        EXECHOOK_ARG: Opt<OsString> = words("exechook-arg", "TEXT")
            .help("An argument for the exechook; may be repeated");
        EXECHOOK_TIMEOUT: Setting<Duration> = value("exechook-timeout", "DURATION", values::hook_time)
            .older(&["GIT_SYNC_EXECHOOK_TIMEOUT"])
            .help("How long the exechook may run before it is killed")
            .default("30s");
        EXECHOOK_BACKOFF: Setting<Duration> = value("exechook-backoff", "DURATION", values::hook_time)
            .older(&["GIT_SYNC_EXECHOOK_BACKOFF"])
            .help("How long to wait before a failed exechook is retried")
            .default("3s");
        PRE_PUBLISH_EXECHOOK_COMMAND: Opt<PathBuf> = path("pre-publish-exechook-command", "PATH")
            .help("A program to run before each publication, in the new tree and with GITSYNC_HASH set");
        PRE_PUBLISH_EXECHOOK_ARG: Opt<OsString> = words("pre-publish-exechook-arg", "TEXT")
            .help("An argument for the pre-publish exechook; may be repeated");
        PRE_PUBLISH_EXECHOOK_TIMEOUT: Setting<Duration> =
            value("pre-publish-exechook-timeout", "DURATION", values::hook_time)
                .help("How long the pre-publish exechook may run before it is killed")
                .default("30s");
        PRE_PUBLISH_EXECHOOK_BACKOFF: Setting<Duration> =
            value("pre-publish-exechook-backoff", "DURATION", values::hook_time)
                .help("How long to wait before a failed pre-publish exechook is retried")
                .default("3s");
        PRE_PUBLISH_EXECHOOK_REQUIRED: Setting<bool> = switch("pre-publish-exechook-required")
            .help("Wait for the pre-publish exechook, and publish only if it succeeds")
            .details("Without this it runs at the same time as the publication, as in git-sync")
            .default("false");
        WEBHOOK_URL: Opt<String> = value("webhook-url", "URL", values::http_url)
            .older(&["GIT_SYNC_WEBHOOK_URL"])
            .may_hold_secrets()
            .help("A URL to request after each publication");
        WEBHOOK_JSON: Setting<bool> = switch("webhook-json")
            .help("Send a JSON object with hash, ref and repo as the body of the webhook's request")
            .default("false");
        WEBHOOK_SECRET_FILE: Opt<PathBuf> = path("webhook-secret-file", "PATH")
            .help("A file with a key; the HMAC-SHA256 of the body is sent as X-Hub-Signature-256: sha256=HEX");
        WEBHOOK_METHOD: Setting<String> = text("webhook-method", "METHOD")
            .older(&["GIT_SYNC_WEBHOOK_METHOD"])
            .help("The method of the webhook's request")
            .default("POST");
        WEBHOOK_SUCCESS_STATUS: Setting<u16> = value("webhook-success-status", "CODE", values::success_status)
            .older(&["GIT_SYNC_WEBHOOK_SUCCESS_STATUS"])
            .help("The HTTP status that means success; 0 for any")
            .default("200");
        WEBHOOK_TIMEOUT: Setting<Duration> = value("webhook-timeout", "DURATION", values::hook_time)
            .older(&["GIT_SYNC_WEBHOOK_TIMEOUT"])
            .help("How long the webhook's request may take")
            .default("1s");
        WEBHOOK_BACKOFF: Setting<Duration> = value("webhook-backoff", "DURATION", values::hook_time)
            .older(&["GIT_SYNC_WEBHOOK_BACKOFF"])
            .help("How long to wait before a failed webhook is retried")
            .default("3s");
        NOTIFY_PROCESS: Opt<String> = text("notify-process", "NAME")
            .help("Send a signal to the processes of this name after each publication; they must share the PID namespace");
        NOTIFY_SIGNAL: Setting<Signal> = value("notify-signal", "SIGNAL", values::named_signal)
            .help("The signal to send, by name or number")
            .default("HUP");
    }
}
