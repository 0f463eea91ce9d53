//! `/v1/changes?after=COMMIT&timeout=SECONDS`: answers when another commit than that is published, for
//! consumers that no signal reaches. With many repositories, `repo=NAME` names one, and `group=NAME&after=GENERATION` a
//! group.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sync_core::CommitId;
use tokio::time::timeout;

use super::{Shared, json as state, unknown};

/// How many requests may wait at once: fewer than connections, so that some are left for other requests.
pub(super) const WAITING: usize = 64;

/// The longest wait; a connection lives longer.
pub(super) const LONGEST: Duration = Duration::from_secs(60);

/// Seconds after which to ask again if too many requests wait.
const RETRY_AFTER: &str = "10";

/// Whose changes.
#[derive(Debug, PartialEq)]
enum Subject {
    /// The only repository.
    One,
    Repo(String),
    Group(String),
}

/// The query of a request.
#[derive(Debug, PartialEq)]
struct Query {
    subject: Subject,
    /// A commit, or the generation of a group; `None` if the client has seen nothing yet.
    after: Option<String>,
    patience: Duration,
}

pub(super) async fn changes(State(shared): State<Shared>, RawQuery(query): RawQuery) -> Response {
    match Query::parse(&query.unwrap_or_default(), shared.board.is_many()) {
        Ok(Query { subject: Subject::Group(name), after, patience }) => {
            let flip = shared.board.wait_for_flip(&name, after.as_deref());
            let answer = async { flip.await.map_or_else(unknown, |facts| json(state::flip(&facts))) };
            wait(&shared, patience, answer).await
        }
        Ok(Query { subject, after, patience }) => {
            let name = if let Subject::Repo(name) = subject { name } else { String::new() };
            let Some(entry) = shared.board.repo(&name) else { return unknown() };
            let after = after.and_then(|after| after.parse().ok());
            let answer = async { json(state::change(&entry.status.wait_for_news(after).await)) };
            wait(&shared, patience, answer).await
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

/// The answer if it is there at once, or within the time that the client has.
async fn wait(shared: &Shared, patience: Duration, answer: impl Future<Output = Response>) -> Response {
    tokio::pin!(answer);
    if let Some(answer) = if_ready(answer.as_mut()).await {
        return answer;
    }
    let Ok(_place) = shared.waiting.try_acquire() else {
        // Close the connection, too.
        let headers = [(header::RETRY_AFTER, RETRY_AFTER), (header::CONNECTION, "close")];
        let text = format!("{WAITING} requests wait already; ask again in {RETRY_AFTER} s\n");
        return (StatusCode::SERVICE_UNAVAILABLE, headers, text).into_response();
    };
    timeout(patience, answer).await.unwrap_or_else(|_| StatusCode::NO_CONTENT.into_response())
}

/// What a future answers without waiting.
async fn if_ready<T>(mut future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

fn json(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

impl Query {
    /// The error is one line.
    fn parse(text: &str, is_many: bool) -> Result<Query, String> {
        let (mut subject, mut after, mut patience) = (Subject::One, None, LONGEST);
        for part in text.split('&').filter(|part| !part.is_empty()) {
            match part.split_once('=').unwrap_or((part, "")) {
                ("after", id) => after = Some(id.to_owned()).filter(|id| !id.is_empty()),
                ("timeout", seconds) => {
                    let seconds: u64 = seconds
                        .parse()
                        .map_err(|_| format!("timeout: {seconds:?} is not a number of seconds"))?;
                    patience = Duration::from_secs(seconds).min(LONGEST);
                }
                ("repo", name) if is_many => subject = Subject::Repo(name.to_owned()),
                ("group", name) if is_many => subject = Subject::Group(name.to_owned()),
                (name, _) if is_many => {
                    return Err(format!("{name:?} is unknown; there are repo, group, after and timeout"));
                }
                (name, _) => return Err(format!("{name:?} is unknown; there are after and timeout")),
            }
        }
        match (&subject, &after) {
            (Subject::One, _) if is_many => return Err("needs repo=NAME or group=NAME".into()),
            (Subject::Group(_), _) | (_, None) => {}
            (_, Some(id)) => {
                id.parse::<CommitId>().map_err(|error| format!("after: {error}"))?;
            }
        }
        Ok(Query { subject, after, patience })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_a_whole_commit_and_a_time_that_is_no_longer_than_the_longest() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let after = Some(id.to_owned());
        let subject = || Subject::One;
        let seconds = Duration::from_secs;
        for (text, expected) in [
            ("", Query { subject: subject(), after: None, patience: LONGEST }),
            ("after=", Query { subject: subject(), after: None, patience: LONGEST }),
            (&format!("after={id}"), Query { subject: subject(), after: after.clone(), patience: LONGEST }),
            (
                &format!("timeout=5&after={}", id.to_uppercase()),
                Query {
                    subject: subject(),
                    after: after.map(|after| after.to_uppercase()),
                    patience: seconds(5),
                },
            ),
            ("timeout=0", Query { subject: subject(), after: None, patience: seconds(0) }),
            ("timeout=3600", Query { subject: subject(), after: None, patience: LONGEST }),
        ] {
            assert_eq!(Query::parse(text, false), Ok(expected), "{text}");
        }
        for text in ["after=012345", "after=main", "timeout=", "timeout=-1", "timeout=1m", "since=1", "x%0ay"]
        {
            let error = Query::parse(text, false).unwrap_err();
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
