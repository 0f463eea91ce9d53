//! The listener: which requests are hooks, which of them count, and what is answered.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use sync_core::CommitId;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tracing::{debug, info};

use super::body::{self, Fault};
use super::config::ReceiveConfig;
use super::denials::Denials;
use super::matching::Verdict;
use super::payload::{self, News, Report, Sender};
use super::proof::{Comparer, Proof, Refusal, Signed};
use super::secrets::Secrets;
use super::targets::{Target, Targets};
use crate::clock::unix_time;
use crate::listen::{self, Lifetime, Peer};
use crate::status::Status;

/// How many requests are in work at once.
const AT_ONCE: usize = 8;

/// How long a connection lives. Senders open one for each hook, or few.
const LIFETIME: Lifetime = Lifetime { requests: Duration::from_secs(60), whole: Duration::from_secs(75) };

/// Takes hooks. Clones are the same.
#[derive(Clone)]
pub struct Listener(Arc<Inner>);

struct Inner {
    config: ReceiveConfig,
    secrets: Secrets,
    comparer: Comparer,
    targets: Targets,
    /// Where what cannot be told to a repository is counted.
    process: Status,
    denials: Denials,
    places: Semaphore,
}

/// What is said of a request, besides what it means for each repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    Denied,
    TooLarge,
    TooSlow,
    Broken,
    Busy,
}

impl Listener {
    /// Read the secrets; they must be there. `process` counts what concerns no repository.
    pub fn new(config: &ReceiveConfig, targets: &Targets, process: &Status) -> Result<Listener, String> {
        process.expects_pushes();
        Ok(Listener(Arc::new(Inner {
            config: config.clone(),
            secrets: Secrets::open(config)?,
            comparer: Comparer::new()?,
            targets: targets.clone(),
            process: process.clone(),
            denials: Denials::default(),
            places: Semaphore::new(AT_ONCE),
        })))
    }

    /// Take hooks until the process ends; returns only on an error. With `is_many`, repositories have paths of their own.
    pub async fn run(self, is_many: bool) -> std::io::Error {
        let ReceiveConfig { bind, path, .. } = &self.0.config;
        let listener = match listen::bind(bind).await {
            Ok(listener) => listener,
            Err(err) => return std::io::Error::new(err.kind(), format!("--receive-bind {bind}: {err}")),
        };
        let address = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
        info!(
            address,
            path, "waiting for push hooks; the network in between must be trusted, or be behind TLS"
        );
        let served = self.clone().serve(listener, is_many).await;
        served.err().unwrap_or_else(|| std::io::Error::other("the listener for push hooks ended"))
    }

    async fn serve(self, listener: TcpListener, is_many: bool) -> std::io::Result<()> {
        let path = self.0.config.path.clone();
        let mut router = Router::new().route(&path, post(any));
        if is_many {
            router = router.route(&format!("{path}/{{name}}"), post(named));
        }
        listen::answer_all(listener, router.with_state(self), LIFETIME).await
    }

    async fn answer(&self, name: Option<&str>, request: Request) -> Response {
        let (sender, _) = Sender::of(request.headers());
        let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
        let Ok(_place) = self.0.places.try_acquire() else { return self.refuse(sender, Refused::Busy) };
        match self.read(request).await {
            Ok((headers, json)) => {
                let (sender, report) = payload::read(&headers, json.as_deref());
                self.tell(name, sender, &report)
            }
            Err((refused, refusal)) => {
                if let Some(refusal) = refusal {
                    self.0.denials.add(peer, refusal);
                }
                self.refuse(sender, refused)
            }
        }
    }

    /// The headers and the JSON of a request that proves itself.
    async fn read(
        &self,
        request: Request,
    ) -> Result<(HeaderMap, Option<Vec<u8>>), (Refused, Option<Refusal>)> {
        let denied = |refusal| (Refused::Denied, Some(refusal));
        let (parts, body) = request.into_parts();
        let proof = Proof::of(&parts.headers).map_err(denied)?;
        let (keys, faults) = self.0.secrets.current().await;
        self.0.process.push(|facts| facts.secret_faults += faults);
        if proof.needs_no_body() && !self.0.comparer.admits(&proof, &keys, self.0.config.user.as_deref()) {
            return Err(denied(Refusal::Wrong));
        }
        let is_form = body::is_form(&parts.headers);
        let read = body::read(body, is_form, Signed::new(&proof, &keys, is_form)).await.map_err(|fault| {
            let refused = match fault {
                Fault::TooLarge => Refused::TooLarge,
                Fault::TooSlow => Refused::TooSlow,
                Fault::Broken => Refused::Broken,
            };
            (refused, None)
        })?;
        if let Some(signed) = read.signed {
            signed.judge(&self.0.comparer, unix_time() as u64).map_err(denied)?;
        }
        Ok((parts.headers, read.json))
    }

    /// Tell the repositories that a hook concerns.
    fn tell(&self, name: Option<&str>, sender: Sender, report: &Report) -> Response {
        let targets = self.0.targets.named(name);
        let judged = targets.iter().map(|(name, target)| (target.rules.judge(report), name, target));
        // Where it may be for any of many, only those are told that it is for.
        let is_told = |verdict| targets.len() == 1 || !concerns_none(verdict);
        let told = judged.filter(|(verdict, ..)| is_told(*verdict));
        let answers = told.map(|(verdict, name, target)| tell_one(verdict, sender, name, target));
        // All are told, and the best answer is given.
        let answer = answers.min_by_key(Answer::rank).unwrap_or_else(|| {
            let (result, answer) = match report.news {
                News::Ping => ("ping", Answer::Ping),
                News::Other => ("other_event", Answer::No("other event")),
                _ => ("other_repo", Answer::No("other repository")),
            };
            count(&self.0.process, sender, result, None);
            answer
        });
        answer.into_response()
    }

    fn refuse(&self, sender: Sender, refused: Refused) -> Response {
        let (status, result, text) = match refused {
            Refused::Denied => {
                (StatusCode::UNAUTHORIZED, "denied", "a signature or token is missing or wrong\n")
            }
            Refused::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body is too large\n"),
            Refused::TooSlow => (StatusCode::REQUEST_TIMEOUT, "denied", "the body came too slowly\n"),
            Refused::Broken => (StatusCode::BAD_REQUEST, "denied", "the body is broken\n"),
            Refused::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy", "too many requests; try again\n"),
        };
        count(&self.0.process, sender, result, None);
        let mut response = (status, text).into_response();
        let (name, value) = match refused {
            Refused::Busy => (header::RETRY_AFTER, "1"),
            // What is left of the body is not read.
            _ => (header::CONNECTION, "close"),
        };
        response.headers_mut().insert(name, header::HeaderValue::from_static(value));
        response
    }
}

async fn any(State(listener): State<Listener>, request: Request) -> Response {
    listener.answer(None, request).await
}

async fn named(State(listener): State<Listener>, Path(name): Path<String>, request: Request) -> Response {
    listener.answer(Some(&name), request).await
}

/// What a repository makes of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Sync,
    No(&'static str),
    Ping,
}

impl Answer {
    /// The least is the one to give.
    fn rank(&self) -> u8 {
        match self {
            Answer::Sync => 0,
            Answer::Ping => 1,
            Answer::No(_) => 2,
        }
    }

    fn into_response(self) -> Response {
        match self {
            Answer::Sync => (StatusCode::ACCEPTED, JSON, "{\"sync\":true}\n").into_response(),
            Answer::No(reason) => not_synced(reason),
            Answer::Ping => StatusCode::NO_CONTENT.into_response(),
        }
    }
}

const JSON: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json")];

/// A genuine hook that does not concern us is no error: senders would switch it off.
fn not_synced(reason: &str) -> Response {
    (StatusCode::OK, JSON, format!("{{\"sync\":false,\"reason\":\"{reason}\"}}\n")).into_response()
}

/// Whether a hook concerns no repository in particular.
fn concerns_none(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Ping | Verdict::OtherEvent | Verdict::OtherRepository)
}

fn tell_one(verdict: Verdict, sender: Sender, name: &str, target: &Target) -> Answer {
    let (commit, result, answer) = match verdict {
        Verdict::News(commit) => (commit, "news", Answer::Sync),
        Verdict::Unclear => (None, "unclear", Answer::Sync),
        Verdict::Ping => (None, "ping", Answer::Ping),
        Verdict::OtherEvent => (None, "other_event", Answer::No("other event")),
        Verdict::OtherRepository => (None, "other_repo", Answer::No("other repository")),
        Verdict::OtherReference => (None, "other_ref", Answer::No("other ref")),
        Verdict::Deleted => (None, "deleted", Answer::No("deleted")),
    };
    let is_known = answer == Answer::Sync && !target.pushes.announce(commit);
    let (result, answer) =
        if is_known { ("noop", Answer::No("published already")) } else { (result, answer) };
    count(&target.status, sender, result, commit);
    let (sender, repo) = (sender.as_str(), Some(name).filter(|name| !name.is_empty()));
    let commit = commit.map(|commit| commit.to_string());
    match answer {
        Answer::Sync => info!(repo, sender, commit, "a push was announced"),
        _ => debug!(repo, sender, result, commit, "a push hook changes nothing"),
    }
    answer
}

fn count(status: &Status, sender: Sender, result: &'static str, commit: Option<CommitId>) {
    status.push(|facts| facts.requested(sender.as_str(), result, commit));
}
