//! How to watch the process.

use std::time::Duration;

use crate::options::{
    HTTP_BIND, HTTP_METRICS, HTTP_PPROF, LOG_FORMAT, LogFormat, READYZ_MAX_AGE, V, VERBOSE,
};
use crate::reader::OptionReader;

/// The HTTP server.
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    /// `host:port` or `:port`.
    pub bind: String,
    /// Whether to serve `/metrics`.
    pub metrics: bool,
    /// The age of the last success beyond which `/readyz` fails; zero for never.
    pub readyz_max_age: Duration,
}

/// How to log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// The format of the lines.
    pub format: LogFormat,
    /// 0 for changes and failures; 1 and more for every sync.
    pub verbosity: u8,
}

pub fn http(r: &mut OptionReader) -> Option<Http> {
    let (metrics, pprof) = (r.get(&HTTP_METRICS), r.get(&HTTP_PPROF));
    let readyz_max_age = r.get(&READYZ_MAX_AGE);
    if !r.is_set(&HTTP_BIND) {
        for (option, _) in [(&HTTP_METRICS, metrics), (&HTTP_PPROF, pprof)].into_iter().filter(|(_, on)| *on)
        {
            r.error(option, "needs --http-bind");
        }
    }
    r.find(&HTTP_BIND).map(|bind| Http { bind, metrics, readyz_max_age })
}

pub fn log(r: &mut OptionReader) -> LogConfig {
    let older = r.given(&V).filter(|level| *level >= 0);
    let verbosity = older.unwrap_or_else(|| r.get(&VERBOSE));
    LogConfig { format: r.get(&LOG_FORMAT), verbosity: verbosity.clamp(0, 9) as u8 }
}
