//! A tip as it is written down: JSON in an envelope.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sync_core::{CommitId, Depth, RelayLink, RelayPack, RelayTip};

use crate::engine::PackName;
use crate::envelope::{open, seal};
use crate::hex::sha256;
use crate::keys::{PublicKeys, SigningKey};
use crate::name::RelayName;
use crate::refusal::{Reason, Refusal};

/// The version of the format. Followers refuse another one.
const VERSION: u64 = 1;

/// The most steps of a chain, and the most commits of a shallow boundary, that are read.
const MOST_STEPS: usize = 64;
const MOST_BOUNDARY: usize = 4096;

/// The longest name of a reference or a feeder.
const LONGEST_NAME: usize = 1024;

/// What a feeder wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tip {
    /// What followers need.
    pub tip: RelayTip,
    /// Grows with every write. Followers never go back.
    pub generation: u64,
    /// When a feeder saw this at the git server last, since 1970.
    pub observed: Duration,
    /// Which feeder wrote it.
    pub feeder: String,
    /// How many followers there are, as the feeder was told; 0 if it was not.
    pub followers: u32,
    /// The newest pack of the chain, if it is small.
    pub inline: Option<Vec<u8>>,
}

impl Tip {
    /// As an engine stores it, signed if there is a key.
    #[must_use]
    pub fn encode(&self, name: &RelayName, key: Option<&SigningKey>) -> Vec<u8> {
        let RelayTip { reference, commit, tag, depth, full, chain } = &self.tip;
        let tag = tag.as_ref().map(|(id, object)| {
            json!({ "id": id.to_string(), "object": object.as_ref().map(|object| STANDARD.encode(object)) })
        });
        let link = |link: &RelayLink| {
            let mut value = pack_json(&link.pack);
            value["from"] = link.from.to_string().into();
            value["to"] = link.to.to_string().into();
            value
        };
        let mut whole = pack_json(&full.1);
        whole["commit"] = full.0.to_string().into();
        let payload = json!({
            "v": VERSION,
            "name": name.as_str(),
            "ref": reference,
            "commit": commit.to_string(),
            "tag": tag,
            "depth": depth.0.map_or(0, u32::from),
            "generation": self.generation,
            "observed_ms": self.observed.as_millis() as u64,
            "feeder": self.feeder,
            "followers": self.followers,
            "full": whole,
            "chain": chain.iter().map(link).collect::<Vec<_>>(),
        });
        seal(payload.to_string().as_bytes(), self.inline.as_deref(), key)
    }

    /// Read what an engine stores. With `keys`, one of them must have signed it.
    ///
    /// # Errors
    ///
    /// It is not signed as demanded, of another name, or not a tip.
    pub fn decode(record: &[u8], name: &RelayName, keys: Option<&PublicKeys>) -> Result<Tip, Refusal> {
        let opened = open(record, keys)?;
        let malformed = |what: &str| Refusal::new(Reason::Malformed, format!("{what} cannot be read"));
        let payload: Value = serde_json::from_slice(&opened.payload).map_err(|_| malformed("its payload"))?;
        if payload["v"] != VERSION {
            let text = "it has another version of the format; give feeders and followers the same syncline";
            return Err(Refusal::new(Reason::Version, text));
        }
        if payload["name"] != name.as_str() {
            return Err(Refusal::new(Reason::Foreign, format!("it is of another name than {name}")));
        }
        let tip = relay_tip(&payload).map_err(malformed)?;
        Ok(Tip {
            tip,
            generation: payload["generation"].as_u64().ok_or_else(|| malformed("its generation"))?,
            observed: payload["observed_ms"]
                .as_u64()
                .map(Duration::from_millis)
                .ok_or_else(|| malformed("its time"))?,
            feeder: text(&payload["feeder"]).ok_or_else(|| malformed("its feeder"))?,
            followers: payload["followers"].as_u64().unwrap_or(0).try_into().unwrap_or(u32::MAX),
            inline: opened.inline,
        })
    }

    /// All packs that it names.
    pub(crate) fn packs(&self) -> impl Iterator<Item = PackName> {
        let chain = self.tip.chain.iter().map(|link| PackName(link.pack.sha256));
        std::iter::once(PackName(self.tip.full.1.sha256)).chain(chain)
    }

    /// The steps that follow the full pack.
    pub(crate) fn steps_after_full(&self) -> &[RelayLink] {
        let RelayTip { chain, full, .. } = &self.tip;
        match chain.iter().rposition(|link| link.to == full.0) {
            Some(at) => &chain[at + 1..],
            None => chain,
        }
    }
}

fn pack_json(pack: &RelayPack) -> Value {
    let shallow: Vec<String> = pack.shallow.iter().map(ToString::to_string).collect();
    json!({ "bytes": pack.bytes, "sha256": PackName(pack.sha256).to_string(), "shallow": shallow })
}

/// What followers need. The error names what is wrong.
fn relay_tip(payload: &Value) -> Result<RelayTip, &'static str> {
    let commit = id(&payload["commit"]).ok_or("its commit")?;
    let reference = text(&payload["ref"]).filter(|name| name == "HEAD" || name.starts_with("refs/"));
    let depth = payload["depth"].as_u64().and_then(|depth| u32::try_from(depth).ok()).ok_or("its depth")?;
    let chain = list(&payload["chain"], MOST_STEPS).ok_or("its chain")?;
    let tip = RelayTip {
        reference: reference.ok_or("its reference")?,
        commit,
        tag: tag(&payload["tag"]).ok_or("its tag")?,
        depth: Depth::new(depth),
        full: id(&payload["full"]["commit"]).zip(pack(&payload["full"])).ok_or("its full pack")?,
        chain: chain.iter().map(link).collect::<Option<_>>().ok_or("its chain")?,
    };
    let ids = tip.chain.iter().flat_map(|link| [&link.from, &link.to].into_iter().chain(&link.pack.shallow));
    let is_one_format = ids
        .chain([&tip.full.0])
        .chain(&tip.full.1.shallow)
        .chain(tip.tag.as_ref().map(|(id, _)| id))
        .all(|id| id.to_string().len() == commit.to_string().len());
    let is_connected = tip.chain.windows(2).all(|pair| pair[0].to == pair[1].from)
        && tip.chain.last().is_none_or(|last| last.to == commit);
    let is_reached = tip.full.0 == commit || tip.chain.iter().any(|link| link.from == tip.full.0);
    match is_one_format && is_connected && is_reached {
        true => Ok(tip),
        false => Err("its chain"),
    }
}

/// Its elements, if there are not too many.
fn list(value: &Value, most: usize) -> Option<&[Value]> {
    value.as_array().map(Vec::as_slice).filter(|all| all.len() <= most)
}

fn link(value: &Value) -> Option<RelayLink> {
    Some(RelayLink { from: id(&value["from"])?, to: id(&value["to"])?, pack: pack(value)? })
}

/// The outer `None`: it cannot be read.
fn tag(value: &Value) -> Option<Option<(CommitId, Option<Vec<u8>>)>> {
    if value.is_null() {
        return Some(None);
    }
    let object = match &value["object"] {
        Value::Null => None,
        object => Some(STANDARD.decode(object.as_str()?).ok()?),
    };
    Some(Some((id(&value["id"])?, object)))
}

fn pack(value: &Value) -> Option<RelayPack> {
    let sha256 = sha256(value["sha256"].as_str()?)?;
    let shallow = list(&value["shallow"], MOST_BOUNDARY)?.iter().map(id).collect::<Option<_>>()?;
    Some(RelayPack { bytes: value["bytes"].as_u64()?, sha256, shallow })
}

fn id(value: &Value) -> Option<CommitId> {
    value.as_str()?.parse().ok()
}

fn text(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let is_fine = text.len() <= LONGEST_NAME && !text.chars().any(char::is_control);
    is_fine.then(|| text.to_owned())
}
