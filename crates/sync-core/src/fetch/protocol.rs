//! How we use Git's protocol through gix: one round of negotiation, a capability that is hidden from gix, and the kinds
//! of errors.

use std::collections::BTreeSet;

use gix::hash::Kind as HashKind;
use gix::protocol::Handshake;
use gix::protocol::fetch::{Arguments, Negotiate, Response, Shallow, negotiate};
use gix::protocol::transport::Protocol;
use gix::protocol::transport::client::Capabilities;
use gix::{ObjectId, bstr};

use crate::error::{Error, ErrorKind};
use crate::limits::Excess;
use crate::transport::agent::AGENT;
use crate::transport::read_budget::ReadBudget;
use crate::transport::status::HttpStatus;

pub(crate) fn agent() -> gix::protocol::command::Feature {
    ("agent", Some(AGENT.into()))
}

/// Hide `deepen-relative` from gix. Before v2, gix requests it whenever the server offers it. The depth is then counted
/// from our shallow boundary in place of the tip, so every fetch would deepen the history.
pub(crate) fn without_deepen_relative(capabilities: &Capabilities) -> gix::Result<Capabilities> {
    let kept =
        capabilities.iter().filter(|capability| capability.name() != "deepen-relative").map(|capability| {
            match capability.value() {
                Some(value) => bstr::join("=", [capability.name(), value]),
                None => capability.name().to_vec(),
            }
        });
    let announced = [b"\0", &bstr::join(" ", kept)[..]].concat();
    Ok(Capabilities::from_bytes(&announced)?.0)
}

/// Whether the server supports filters. Only over protocol v2 can the missing blobs be fetched later by their ids.
pub(crate) fn can_filter(handshake: &Handshake) -> bool {
    let fetch = handshake.capabilities.capability("fetch");
    handshake.server_protocol_version == Protocol::V2
        && fetch.and_then(|fetch| fetch.supports("filter")).unwrap_or_default()
}

pub(crate) fn object_kind(capabilities: &Capabilities) -> HashKind {
    match capabilities.capability("object-format").and_then(|format| format.value()) {
        Some(format) if format == "sha256" => HashKind::Sha256,
        _ => HashKind::Sha1,
    }
}

/// The HTTP status that caused the error, if one did.
pub(crate) fn http_status(err: &gix::Error) -> Option<&HttpStatus> {
    cause(err)
}

/// The first cause of type `E`, also inside an `io::Error`, whose `source` skips the error that it wraps.
fn cause<E: std::error::Error + 'static>(err: &gix::Error) -> Option<&E> {
    err.downcast_any_ref::<E>().or_else(|| {
        let errors = err.iter_errors().filter_map(|err| err.downcast_ref::<std::io::Error>());
        errors.filter_map(|err| err.get_ref()).find_map(|err| err.downcast_ref::<E>())
    })
}

/// The texts of gix that users see most often, and plainer ones.
const PLAINER: [(&str, &str); 8] = [
    (
        "Server lack feature \"shallow\": shallow clones need server support to remain shallow, otherwise bigger than \
         expected packs are sent effectively unshallowing the repository",
        "the server can only send the whole history (it lacks the feature 'shallow'); use --depth=0",
    ),
    (
        "Currently we require feature \"multi_ack_detailed\", which is not supported by the server",
        "the server lacks the feature 'multi_ack_detailed' of Git's protocol, which is required",
    ),
    (
        "Currently we require feature \"side-band OR side-band-64k\", which is not supported by the server",
        "the server lacks the feature 'side-band-64k' of Git's protocol, which is required",
    ),
    ("Transport handshake failed: ", ""),
    ("An IO error occurred when talking to the server: ", ""),
    ("failed to fill whole buffer", "the server hung up"),
    ("Peer disconnected", "the server hung up"),
    ("Capabilities could not be parsed: ", "this is not the answer of a Git server: "),
];

/// The error with which a connection ended, in the server's words if it gave a reason.
pub(crate) fn protocol_error(step: String, err: &gix::Error, budget: &ReadBudget) -> Error {
    if let Some(excess) = cause::<Excess>(err) {
        return Error::new(ErrorKind::Limit, step, excess);
    }
    match http_status(err) {
        Some(status) if status.code == 401 => Error::new(ErrorKind::Login, step, status),
        Some(status) if status.code == 403 => Error::new(ErrorKind::Denied, step, status),
        Some(status) if matches!(status.code, 404 | 410) => Error::new(ErrorKind::NotFound, step, status),
        Some(status) => Error::new(ErrorKind::Server, step, status).with_retry_after(status.retry_after),
        None => match budget.errors() {
            Some(text) => Error::new(ErrorKind::Server, step, format!("the server says: {text}")),
            None => Error::gix(step, err).of_server().rephrased(&PLAINER),
        },
    }
}

/// The contents of a fetch request.
pub(crate) struct Request<'a> {
    pub(crate) wants: Vec<ObjectId>,
    pub(crate) haves: BTreeSet<ObjectId>,
    pub(crate) shallow: Shallow,
    pub(crate) filter: Option<&'a str>,
}

/// A negotiation of one round: the first request has all wants and all haves, and says that there are no more.
pub(crate) struct OneRound<'a> {
    pub(crate) request: &'a Request<'a>,
    pub(crate) protocol: Protocol,
}

impl Negotiate for OneRound<'_> {
    fn mark_complete_and_common_ref(&mut self) -> gix::Result<negotiate::Action> {
        Ok(negotiate::Action::MustNegotiate { remote_ref_target_known: Vec::new() })
    }

    fn add_wants(&mut self, arguments: &mut Arguments, _: &[bool]) -> bool {
        // The server's progress is not shown, and for a small change it is most of the answer.
        if self.protocol == Protocol::V2 {
            arguments.add_feature("no-progress");
        }
        if let Some(filter) = self.request.filter {
            arguments.filter(filter);
        }
        for want in &self.request.wants {
            arguments.want(want);
        }
        for have in &self.request.haves {
            arguments.have(have);
        }
        true
    }

    fn one_round(
        &mut self,
        _: &mut negotiate::one_round::State,
        _: &mut Arguments,
        _: Option<&Response>,
    ) -> gix::Result<(negotiate::Round, bool)> {
        let round = negotiate::Round {
            haves_sent: self.request.haves.len(),
            in_vain: 0,
            haves_to_send: self.request.haves.len(),
            previous_response_had_at_least_one_in_common: false,
        };
        Ok((round, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_deepen_relative_is_dropped() {
        let given =
            b"\0multi_ack_detailed deepen-since deepen-relative agent=git/2 symref=HEAD:refs/heads/m\xe4in";
        let kept = without_deepen_relative(&Capabilities::from_bytes(given).unwrap().0).unwrap();
        assert!(!kept.contains("deepen-relative"));
        assert!(kept.contains("deepen-since"));
        assert_eq!(kept.capability("agent").unwrap().value().unwrap(), "git/2");
        assert_eq!(kept.capability("symref").unwrap().value().unwrap(), b"HEAD:refs/heads/m\xe4in");
        assert_eq!(kept.iter().count(), 4);
    }
}
