//! JetStream's interface: requests with JSON, and messages that are read or stored.

use std::io;
use std::time::{Duration, SystemTime};

use async_nats::{HeaderMap, Message};
use serde_json::{Value, json};

use super::connection::{Connection, PATIENCE};
use super::health::NO_ANSWER;

/// How long a message that is read directly may take: all replicas answer, so nobody has to be elected first.
const READ_PATIENCE: Duration = Duration::from_secs(2);

/// The codes of errors, from server/errors.json of nats-server.
/// The second one is for a write at the same time, in clusters.
const WRONG_LAST_SEQUENCE: [u64; 2] = [10071, 10164];
const STREAM_NOT_FOUND: u64 = 10059;
/// No room: of the stream, of the account, of the server.
const FULL: [u64; 5] = [10077, 10122, 10002, 10023, 10047];

/// Which message of a stream.
#[derive(Clone, Copy)]
pub(super) enum Which<'a> {
    /// The last one of a subject, whose right is that of this subject.
    Last(&'a str),
    /// The last one of a subject, by the right for the whole stream.
    LastOf(&'a str),
    /// The first one of a subject from a sequence number on.
    From(u64, &'a str),
}

/// Why a message was not stored.
pub(super) enum Refused {
    WrongLastSequence,
    Other(io::Error),
}

/// An error that JetStream answers with.
struct ApiError {
    code: u64,
    text: String,
}

/// What an answer says.
pub(super) enum Answer {
    Value(Value),
    NoStream,
    Failed { code: u64, error: io::Error },
}

impl Connection {
    /// Read a message from any replica; `None` if there is none.
    pub(super) async fn direct_get(&self, stream: &str, which: Which<'_>) -> io::Result<Option<Message>> {
        let place = format!("$JS.API.DIRECT.GET.{stream}");
        let (subject, body) = match which {
            Which::Last(subject) => (format!("{place}.{subject}"), Vec::new()),
            Which::LastOf(subject) => (place, json!({ "last_by_subj": subject }).to_string().into()),
            Which::From(sequence, subject) => {
                (place, json!({ "seq": sequence, "next_by_subj": subject }).to_string().into())
            }
        };
        let message = self.request(&subject, HeaderMap::new(), body, READ_PATIENCE).await?;
        match message.status.map_or(200, |status| status.as_u16()) {
            200 => Ok(Some(message)),
            404 => Ok(None),
            code => {
                let text = message.description.unwrap_or_default();
                Err(self.health.error(io::ErrorKind::Other, &format!("cannot read {stream}: {code} {text}")))
            }
        }
    }

    /// Store a message. Returns its sequence number.
    pub(super) async fn publish(
        &self,
        subject: &str,
        headers: HeaderMap,
        payload: Vec<u8>,
    ) -> io::Result<Result<u64, Refused>> {
        let message = self.request(subject, headers, payload, PATIENCE).await?;
        self.stored(&message)
    }

    /// What the answer to a message says that is to be stored.
    pub(super) fn stored(&self, answer: &Message) -> io::Result<Result<u64, Refused>> {
        if answer.status.is_some_and(|status| status.as_u16() == 503) {
            return Err(self.health.silence(NO_ANSWER));
        }
        let value = self.parse(answer)?;
        Ok(match (api_error(&value), value["seq"].as_u64()) {
            (Some(error), _) if WRONG_LAST_SEQUENCE.contains(&error.code) => Err(Refused::WrongLastSequence),
            (Some(error), _) => Err(Refused::Other(self.failed(&error))),
            (None, Some(sequence)) => Ok(sequence),
            (None, None) => return Err(self.invalid()),
        })
    }

    /// Ask the interface of streams.
    pub(super) async fn ask(&self, verb: &str, stream: &str, body: &Value) -> io::Result<Answer> {
        let subject = format!("$JS.API.STREAM.{verb}.{stream}");
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let message = self.request(&subject, HeaderMap::new(), body, PATIENCE).await?;
        let value = self.parse(&message)?;
        Ok(match api_error(&value) {
            None => Answer::Value(value),
            Some(error) if error.code == STREAM_NOT_FOUND => Answer::NoStream,
            Some(error) => Answer::Failed { code: error.code, error: self.failed(&error) },
        })
    }

    /// The same where another answer than a value is an error.
    pub(super) async fn demand(&self, verb: &str, stream: &str, body: &Value) -> io::Result<Value> {
        match self.ask(verb, stream, body).await? {
            Answer::Value(value) => Ok(value),
            Answer::NoStream => {
                Err(self.health.error(io::ErrorKind::NotFound, &format!("there is no stream {stream}")))
            }
            Answer::Failed { error, .. } => Err(error),
        }
    }

    fn failed(&self, error: &ApiError) -> io::Error {
        let kind = match error.code {
            code if FULL.contains(&code) => io::ErrorKind::StorageFull,
            10000..10100 if error.text.contains("not available") => io::ErrorKind::NotConnected,
            _ => io::ErrorKind::Other,
        };
        self.health.error(kind, &format!("JetStream answers: {} ({})", error.text, error.code))
    }

    fn parse(&self, message: &Message) -> io::Result<Value> {
        serde_json::from_slice(&message.payload).map_err(|_| self.invalid())
    }

    fn invalid(&self) -> io::Error {
        self.health.error(io::ErrorKind::InvalidData, "the answer is not one of JetStream")
    }
}

fn api_error(value: &Value) -> Option<ApiError> {
    let error = value.get("error")?;
    let code = error["err_code"].as_u64().or(error["code"].as_u64()).unwrap_or_default();
    Some(ApiError { code, text: error["description"].as_str().unwrap_or("an error").to_owned() })
}

pub(super) fn header<'a>(message: &'a Message, name: &'static str) -> Option<&'a str> {
    message.headers.as_ref()?.get(name).map(|value| value.as_str())
}

/// The sequence number of a message that was read.
pub(super) fn sequence(message: &Message) -> io::Result<u64> {
    let number = header(message, "Nats-Sequence").and_then(|text| text.parse().ok());
    number.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the message has no sequence number"))
}

/// When a message that was read was stored.
pub(super) fn stored_at(message: &Message) -> io::Result<SystemTime> {
    let text = header(message, "Nats-Time-Stamp").unwrap_or_default();
    parse_time(text)
}

pub(super) fn parse_time(text: &str) -> io::Result<SystemTime> {
    let time = text.parse::<jiff::Timestamp>();
    time.map(SystemTime::from)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the message has no time"))
}
