//! Who is told of requests, to count them.

use std::fmt;
use std::sync::Arc;

/// What became of a request: an HTTP request, or a connection or channel for `git://` and SSH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestResult {
    /// There was an answer. For HTTP, its status.
    Answered(Option<u16>),
    /// The server limits how often it may be asked: HTTP 429, or 403 and 503 with `Retry-After`. This comes besides
    /// the answer.
    RateLimited,
    /// There was no answer.
    Failed,
}

/// A function that is told of every request, on the thread that sends it. The default is nobody.
#[derive(Clone, Default)]
pub struct RequestObserver(Option<Arc<dyn Fn(RequestResult) + Send + Sync>>);

impl RequestObserver {
    /// This function. It must be quick.
    pub fn new(observer: impl Fn(RequestResult) + Send + Sync + 'static) -> RequestObserver {
        RequestObserver(Some(Arc::new(observer)))
    }

    pub(crate) fn tell(&self, result: RequestResult) {
        if let Some(observer) = &self.0 {
            observer(result);
        }
    }

    /// The result of connecting, without HTTP.
    pub(crate) fn connected<T, E>(&self, result: &Result<T, E>) {
        self.tell(if result.is_ok() { RequestResult::Answered(None) } else { RequestResult::Failed });
    }

    #[cfg(feature = "http")]
    pub(crate) fn answered<B, E>(&self, result: &Result<http::Response<B>, E>) {
        let Ok(response) = result else { return self.tell(RequestResult::Failed) };
        let status = response.status().as_u16();
        self.tell(RequestResult::Answered(Some(status)));
        let may_retry = || response.headers().contains_key(http::header::RETRY_AFTER);
        if status == 429 || (matches!(status, 403 | 503) && may_retry()) {
            self.tell(RequestResult::RateLimited);
        }
    }
}

impl fmt::Debug for RequestObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequestObserver").field(&self.0.is_some()).finish()
    }
}
