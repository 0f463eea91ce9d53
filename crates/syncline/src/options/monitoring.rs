//! How to watch the process: HTTP and the log.

use std::time::Duration;

use super::choices::LogFormat;
use super::table::{Opt, Setting, options, parsed, switch, value};
use super::{Scope, values};

options! {
    "Monitoring" {
        HTTP_BIND: Opt<String> = value("http-bind", "ADDRESS", values::bind_address)
            .of(Scope::Process)
            .older(&["GIT_SYNC_HTTP_BIND"])
            .help("Serve probes (/, /livez, /readyz), /status and /v1/changes over HTTP at this address and port, such as :8080");
        HTTP_METRICS: Setting<bool> = switch("http-metrics")
            .of(Scope::Process)
            .older(&["GIT_SYNC_HTTP_METRICS"])
            .help("Also serve /metrics for Prometheus")
            .default("false");
        HTTP_PPROF: Setting<bool> = switch("http-pprof")
            .of(Scope::Process)
            .ignored("profiling endpoints exist only in Go; use perf on the process")
            .older(&["GIT_SYNC_HTTP_PPROF"])
            .help("Accepted for compatibility with git-sync; profiling endpoints exist only in Go")
            .default("false");
        READYZ_MAX_AGE: Setting<Duration> = value("readyz-max-age", "DURATION", values::duration)
            .aliases(&["stale-after"])
            .help("How old the last success may be before /readyz answers 503; 0 for any age")
            .default("5m");
        LOG_FORMAT: Setting<LogFormat> = value("log-format", "FORMAT", parsed)
            .of(Scope::Process)
            .help("The format of the log: auto (text on a terminal, JSON lines otherwise), text or json")
            .default("auto");
        VERBOSE: Setting<i64> = value("verbose", "LEVEL", values::integer)
            .of(Scope::Process)
            .help("How much to log: 0 for changes and failures, 1 for every sync")
            .default("0");
    }
}
