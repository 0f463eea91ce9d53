//! Thin wrappers for the targets in `fuzz/` around private code that reads untrusted input. This is not part of the
//! public API.
#![allow(missing_docs)]

use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use gix::ObjectId;
use gix::bstr::{BStr, ByteSlice};
use gix::index::entry::{Flags, Mode, Stat};
use gix::protocol::transport::client::Capabilities;
use http::HeaderMap;
use russh::keys::{PublicKey, PublicKeyOrCertificate};

use crate::error::{Error, ErrorKind};
use crate::index_pack::{PackReceiver, StreamTarget};
use crate::interrupt::Interrupt;
use crate::objects::content::Content;
use crate::objects::delta::Delta;
use crate::progress::Progress;
use crate::resources::Resources;
use crate::signatures::{ExpiredKeys, Moments};
use crate::spec::ref_pattern::RefPattern;
use crate::spec::ref_query::RefQuery;
use crate::spec::reference::{AdvertisedRef, Reference};
use crate::spec::sparse::SparsePatterns;
use crate::spec::version_tags::VersionTags;
use crate::transport::options::ConnectOptions;
use crate::transport::proxy::{self, Proxy};
use crate::transport::ssh::options::SshOptions;
use crate::transport::{answer, redirect, ssh};
use crate::url::scope::UrlScope;
use crate::url::{Kind, RemoteUrl};

/// Whether a `known_hosts` file trusts `key` for a host, or why the file cannot be read.
pub fn is_known_host(text: &str, host: &str, port: u16, key: &str) -> Result<bool, String> {
    let known = ssh::known_hosts::KnownHost::parse(text, Path::new("known_hosts"), host, port, None)?;
    let key = PublicKey::from_openssh(key).map_err(|err| err.to_string())?;
    Ok(known.check(&PublicKeyOrCertificate::PublicKey { key, hash_alg: None }).is_ok())
}

/// Keys must be valid when they signed. Now is in 2096.
const AT_SIGNING: Moments = Moments { now: 4_000_000_000, expired: ExpiredKeys::AtSigning };

/// The payload and the signature of a commit, and those of a tag.
pub fn split_signed(object: &[u8]) -> (Option<(Vec<u8>, String)>, Option<(Vec<u8>, String)>) {
    let parts = |signed: crate::signatures::split::Signed| (signed.payload, signed.signature);
    let commit = crate::signatures::split::split_commit(object, false).ok().map(parts);
    let tag = crate::signatures::split::split_tag(object).ok().map(|(_, signed)| parts(signed));
    (commit, tag)
}

/// Whether somebody in `allowed_signers` signed a commit, or why the file cannot be read.
pub fn is_signed(allowed_signers: &str, object: &[u8]) -> Result<bool, String> {
    use crate::signatures::{allowed_signers::AllowedSigners, split::split_commit, ssh};
    let keys = ssh::SshKeys { allowed: AllowedSigners::parse(allowed_signers)?, revoked: Vec::new() };
    let signed = split_commit(object, false);
    Ok(signed.is_ok_and(|signed| keys.verify(&signed, AT_SIGNING).is_ok()))
}

/// The fingerprint of who signed a commit by OpenPGP, or why the certificates cannot be read.
pub fn openpgp_signer(certificates: &[u8], object: &[u8]) -> Result<Option<String>, String> {
    use crate::signatures::{openpgp::Certificates, split::split_commit};
    let mut all = Certificates::default();
    all.add(certificates)?;
    all.unusable(AT_SIGNING.now);
    let signed = split_commit(object, false).map_err(|refusal| refusal.text)?;
    Ok(all.verify(&signed, AT_SIGNING).ok().map(|signer| signer.fingerprint))
}

/// The public half of an SSH key that is not encrypted.
pub fn ssh_key(text: &str) -> Result<String, String> {
    let key = ssh::keys::decode(text, &SshOptions::default())?;
    key.public_key().to_openssh().map_err(|err| err.to_string())
}

/// The URL of a submodule, given as in `.gitmodules`.
pub fn submodule_url(parent: &RemoteUrl, url: &str) -> Result<RemoteUrl, String> {
    let parent = crate::fetch::submodules::Location { url: parent.clone(), written: parent.clone() };
    crate::fetch::submodules::resolve(&parent, url, &ConnectOptions::default()).map(|found| found.url)
}

/// The host and port that a URL leads to, and for SSH the user.
pub fn server(url: &RemoteUrl) -> (String, u16, String) {
    match &url.0 {
        Kind::Http(http) => {
            let uri: http::Uri = http.base.parse().unwrap_or_default();
            let port = crate::url::port(&uri).ok().flatten().unwrap_or_default();
            (uri.host().unwrap_or_default().to_ascii_lowercase(), port, String::new())
        }
        Kind::Git { host, port, .. } => (host.clone(), *port, String::new()),
        Kind::Ssh(url) => (url.host.clone(), url.port, url.user.clone()),
        Kind::Local(_) | Kind::Relay(_) => Default::default(),
    }
}

pub fn fits(scope: &UrlScope, url: &UrlScope) -> bool {
    scope.fit(url).is_some()
}

/// Reads what a proxy answers to a request for a tunnel.
pub fn http_proxy(stream: &mut (impl Read + Write), to: &Proxy, host: &str, port: u16) -> io::Result<()> {
    proxy::connect(stream, to, host, port)
}

pub fn socks_proxy(stream: &mut (impl Read + Write), to: &Proxy, host: &str, port: u16) -> io::Result<()> {
    proxy::socks5(stream, to, host, port)
}

pub fn retry_after(wanted: &str, date: &str) -> Option<Duration> {
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", wanted.parse().ok()?);
    headers.insert("date", date.parse().ok()?);
    answer::retry_after(&headers)
}

pub fn redirect(base: &str, tail: &str, location: &str) -> Result<String, String> {
    redirect::redirect_base(base, tail, location)
}

pub fn is_tag(name: &str) -> bool {
    gix::validate::reference::name(format!("refs/tags/{name}").as_str().into()).is_ok()
}

/// The tag that is chosen among those that a server lists when it is asked for them.
pub fn choose(tags: VersionTags, names: &[&str]) -> Option<String> {
    let query = RefQuery::of(&Reference::Highest(tags));
    let mut names: Vec<String> = names.iter().map(|name| format!("refs/tags/{name}")).collect();
    names.retain(|name| query.prefixes().iter().any(|prefix| name.starts_with(prefix.as_str())));
    names.sort();
    names.dedup();
    let commit = ObjectId::null(gix::hash::Kind::Sha1);
    let listed: Vec<_> = names.into_iter().map(|name| AdvertisedRef { name, commit, tag: None }).collect();
    query.choose(&listed).ok().map(|choice| choice.found.name["refs/tags/".len()..].to_owned())
}

pub fn matches(pattern: &RefPattern, name: &str) -> bool {
    pattern.matches(name)
}

/// An error as users see it.
pub fn error_line(step: &str, cause: &str) -> String {
    Error::new(ErrorKind::Other, step, cause).to_string()
}

/// The capabilities that a server announces, and those of them that we keep.
pub fn capabilities(announced: &[u8]) -> Option<(Vec<String>, Vec<String>)> {
    let list =
        |of: &Capabilities| of.iter().map(|one| format!("{:?}={:?}", one.name(), one.value())).collect();
    let given = Capabilities::from_bytes(announced).ok()?.0;
    let kept = crate::fetch::protocol::without_deepen_relative(&given).ok();
    Some((list(&given), kept.as_ref().map(list).unwrap_or_default()))
}

/// For each path, whether it is checked out.
pub fn selected(patterns: &SparsePatterns, paths: &[&str]) -> Vec<bool> {
    let mut index = gix::index::State::new(gix::hash::Kind::Sha1);
    for path in paths {
        let id = ObjectId::null(gix::hash::Kind::Sha1);
        index.dangerously_push_entry(Stat::default(), id, Flags::empty(), Mode::FILE, (*path).into());
    }
    index.sort_entries();
    if patterns.apply(&mut index).is_err() {
        return vec![false; paths.len()];
    }
    let is_there = |path: &&str| {
        let entry = index.entry_by_path((*path).into());
        entry.is_some_and(crate::worktree::entry::needs_writing)
    };
    paths.iter().map(is_there).collect()
}

pub fn may_change_form(attributes: &[u8]) -> bool {
    crate::convert::may_convert(attributes)
}

pub fn expand_ident(text: &[u8], id: &str) -> Vec<u8> {
    crate::convert::ident::expand_ident(text, id, false)
}

pub fn apply_delta(base: &[u8], delta: &[u8]) -> io::Result<Vec<u8>> {
    let (mut result, base) = (Vec::new(), Content::Held(base.to_vec().into()));
    Delta::open(delta)?.apply(&base, &mut |piece| {
        result.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(result)
}

/// A file that was written while its pack was received: its path, its blob, and whether it is executable.
pub type Written = (Vec<u8>, ObjectId, bool);

/// Index the pack of a first sync, writing files meanwhile.
pub fn unpack(pack: &[u8], commit: ObjectId, packs: &Path, tree: &Path) -> io::Result<Vec<Written>> {
    // Small pieces, as from a network.
    let mut pack = io::BufReader::with_capacity(1000, pack);
    let (limits, progress, interrupt) = (crate::limits::Limits::default(), Progress::new(), Interrupt::new());
    let pack_receiver = PackReceiver {
        pack_dir: packs.to_owned(),
        hash: commit.kind(),
        tree: Some(StreamTarget { commit, dir: tree, limits: &limits, leaves_pointers: true }),
        resources: Resources { threads: 2, memory: None },
        progress: &progress,
        interrupt: &interrupt,
    };
    let received = pack_receiver.take(&mut pack, None)?;
    let Some(pack) = received.pack else { return Ok(Vec::new()) };
    let pack = gix_pack::Bundle::at(pack, commit.kind()).map_err(io::Error::other)?;
    let mut written = Vec::new();
    for (dir, files) in received.early.by_directory() {
        let entries = entries_at(&pack, commit, dir.as_bstr())
            .ok_or_else(|| io::Error::other("there is no such tree"))?;
        let entries: Vec<_> = entries.into_iter().filter(|entry| !entry.mode.is_tree()).collect();
        for file in files {
            let entry = &entries[file.number as usize];
            let path = crate::trees::rules::join(dir.as_bstr(), entry.filename.as_bstr());
            written.push((path.into(), entry.oid, entry.mode.is_executable()));
        }
    }
    Ok(written)
}

/// The entries of a directory of a commit, by gix.
fn entries_at(pack: &gix_pack::Bundle, commit: ObjectId, dir: &BStr) -> Option<Vec<gix::objs::tree::Entry>> {
    let read = |id: &gix::oid| {
        let (mut body, mut inflate) = (Vec::new(), gix::zlib::Inflate::default());
        pack.find(id, &mut body, &mut inflate, &mut gix_pack::cache::Never).ok()??;
        Some(body)
    };
    let hash = commit.kind();
    let mut tree = gix::objs::CommitRefIter::from_bytes(&read(&commit)?, hash).tree_id().ok()?;
    for name in dir.split_str("/").filter(|name| !name.is_empty()) {
        let body = read(&tree)?;
        let mut entries = gix::objs::TreeRefIter::from_bytes(&body, hash).filter_map(Result::ok);
        tree = entries.find(|entry| entry.filename == name && entry.mode.is_tree())?.oid.to_owned();
    }
    let body = read(&tree)?;
    let entries = gix::objs::TreeRefIter::from_bytes(&body, hash).map_while(Result::ok);
    Some(entries.map(Into::into).collect())
}

/// Index a pack with gix, to compare with. No files are written.
pub fn receive(mut pack: &[u8], packs: &Path) -> Result<(), String> {
    let options = gix_pack::bundle::write::Options { alloc_limit_bytes: Some(1 << 31), ..Default::default() };
    let (kind, progress) = (gix::hash::Kind::Sha1, &mut gix::progress::Discard);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let no_bases = None::<gix::OdbHandle>;
    gix_pack::Bundle::write_to_directory(&mut pack, Some(packs), progress, &stop, no_bases, kind, options)
        .map(|_| ())
        .map_err(|err| err.to_string())
}

pub fn is_exception(proxies: &proxy::Proxies, host: &str, port: u16) -> bool {
    proxies.no_proxy.cover(host, port)
}

pub fn cookies_for(credentials: &crate::credentials::Credentials, url: &str) -> Option<String> {
    credentials.cookies_for(url)
}

/// The object that a pointer of Git LFS names: its id and size.
pub fn lfs_pointer(blob: &[u8]) -> Option<(String, u64)> {
    match crate::lfs::pointer::Pointer::parse(blob) {
        crate::lfs::pointer::Pointer::Object(object) => Some((object.oid.to_string(), object.size)),
        _ => None,
    }
}

/// The LFS server of `https://u:p@h/x.git` with this `.lfsconfig`, and whether it gets the login; `None` if it is
/// refused.
pub fn lfs_endpoint(config: &[u8]) -> Option<(String, bool)> {
    use crate::lfs::endpoint::{Endpoint, RepositoryConfig};
    let remote = "https://u:p@h/x.git".parse().ok()?;
    let config = RepositoryConfig::parse(config).ok()?;
    match Endpoint::of(&remote, &crate::spec::lfs::LfsSelection::default(), &config).ok()? {
        Endpoint::Http(url) => Some((url.base, url.login.is_some())),
        _ => None,
    }
}

/// Where an answer of the batch API says that one object is, and with which headers it is to be asked for.
pub fn lfs_answer(body: &[u8], oid: &str, size: u64) -> Option<(String, Vec<(String, String)>)> {
    let asked = crate::lfs::LfsObject { oid: crate::lfs::Oid::from_hex(oid)?, size };
    let answers = crate::lfs::batch::parse(body, &[asked], "https://h/x.git/info/lfs").ok()?;
    answers.into_iter().next()?.ok().map(|action| (action.href, action.headers))
}
