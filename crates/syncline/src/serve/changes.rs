//! `/v1/changes?after=COMMIT&timeout=SECONDS`: answers when another commit than that is published, for
//! consumers that no signal reaches.

use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sync_core::CommitId;
use tokio::time::timeout;

use super::{Shared, page};
use crate::status::Facts;

/// How many requests may wait at once: fewer than connections, so that some are left for other requests.
pub(super) const WAITING: usize = 64;

/// The longest wait; a connection lives longer.
pub(super) const LONGEST: Duration = Duration::from_secs(60);

/// Seconds after which to ask again if too many requests wait.
const RETRY_AFTER: &str = "10";

/// The query of a request.
#[derive(Debug, PartialEq)]
struct Query {
    after: Option<CommitId>,
    patience: Duration,
}

pub(super) async fn changes(State(shared): State<Shared>, RawQuery(query): RawQuery) -> Response {
    let query = match Query::parse(&query.unwrap_or_default()) {
        Ok(query) => query,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    if let Some(facts) = shared.status.news(query.after) {
        return answer(&facts);
    }
    let Ok(_place) = shared.waiting.try_acquire() else {
        // Close the connection, too.
        let headers = [(header::RETRY_AFTER, RETRY_AFTER), (header::CONNECTION, "close")];
        let text = format!("{WAITING} requests wait already; ask again in {RETRY_AFTER} s\n");
        return (StatusCode::SERVICE_UNAVAILABLE, headers, text).into_response();
    };
    match timeout(query.patience, shared.status.wait_for_news(query.after)).await {
        Ok(facts) => answer(&facts),
        Err(_) => StatusCode::NO_CONTENT.into_response(),
    }
}

fn answer(facts: &Facts) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], page::change(facts)).into_response()
}

impl Query {
    /// The error is one line.
    fn parse(text: &str) -> Result<Query, String> {
        let mut query = Query { after: None, patience: LONGEST };
        for part in text.split('&').filter(|part| !part.is_empty()) {
            match part.split_once('=').unwrap_or((part, "")) {
                // The client has seen nothing yet.
                ("after", "") => query.after = None,
                ("after", id) => query.after = Some(id.parse().map_err(|error| format!("after: {error}"))?),
                ("timeout", seconds) => {
                    let seconds: u64 = seconds
                        .parse()
                        .map_err(|_| format!("timeout: {seconds:?} is not a number of seconds"))?;
                    query.patience = Duration::from_secs(seconds).min(LONGEST);
                }
                (name, _) => return Err(format!("{name:?} is unknown; there are after and timeout")),
            }
        }
        Ok(query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_a_whole_commit_and_a_time_that_is_no_longer_than_the_longest() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let after = Some(id.parse().unwrap());
        let seconds = Duration::from_secs;
        for (text, expected) in [
            ("", Query { after: None, patience: LONGEST }),
            ("after=", Query { after: None, patience: LONGEST }),
            (&format!("after={id}"), Query { after, patience: LONGEST }),
            (&format!("timeout=5&after={}", id.to_uppercase()), Query { after, patience: seconds(5) }),
            ("timeout=0", Query { after: None, patience: seconds(0) }),
            ("timeout=3600", Query { after: None, patience: LONGEST }),
        ] {
            assert_eq!(Query::parse(text), Ok(expected), "{text}");
        }
        for text in ["after=012345", "after=main", "timeout=", "timeout=-1", "timeout=1m", "since=1", "x%0ay"]
        {
            let error = Query::parse(text).unwrap_err();
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
