//! Objects in a bucket of S3, or of something that speaks like it. URLs are signed; without keys they are not, which is
//! enough to read a public bucket.

use std::io::{self, ErrorKind, Read};
use std::time::Duration;

use rusty_s3::actions::{ListObjectsV2, ListObjectsV2Response};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use sync_core::{HttpBody, Interrupt};

use super::access::{Access, Keys, Login, LoginProvider};
use super::files::{PACKS, TIP, pack_file, pack_of};
use super::url::S3Url;
use super::web::{Ask, Web};
use super::{Engine, PackName, Record, Revision, Swap, too_short};
use crate::RelayName;

/// How long a signature holds. It bears a clock that is some minutes wrong.
const VALID: Duration = Duration::from_secs(15 * 60);

/// The most that a list of objects may have, for a thousand of them.
const LONGEST_LIST: usize = 4 << 20;

/// Whoever caches a pack may keep it for a year; a tip is asked for each time.
const IMMUTABLE: (&str, &str) = ("Cache-Control", "max-age=31536000, immutable");
const FRESH: (&str, &str) = ("Cache-Control", "no-cache");

/// The objects of one name.
pub(super) struct S3 {
    web: Web,
    /// An error if the endpoint and the bucket make no URL.
    bucket: Result<Bucket, String>,
    /// With a slash at its end.
    own: String,
    login: LoginProvider,
}

impl S3 {
    pub(super) fn new(url: &S3Url, name: &RelayName, access: Access) -> S3 {
        let slash = if url.prefix.is_empty() { "" } else { "/" };
        let own = format!("{}{slash}{name}/", url.prefix);
        let shown = format!("s3://{}/{own}", url.bucket);
        S3 { web: Web::new(&access.connect, shown), bucket: bucket(url), own, login: access.login }
    }

    /// A signed URL, or a plain one without keys.
    fn url<'a>(
        &'a self,
        action: impl FnOnce(&'a Bucket, Option<&Credentials>) -> String,
    ) -> io::Result<String> {
        let invalid = |text: &str| self.web.error(ErrorKind::InvalidInput, text);
        let bucket = self.bucket.as_ref().map_err(|text| invalid(text))?;
        let credentials = match (self.login)()? {
            Login::None => None,
            Login::Keys(keys) => Some(credentials(&keys)),
            _ => return Err(invalid("S3 needs an access key and a secret key")),
        };
        Ok(action(bucket, credentials.as_ref()))
    }

    fn key(&self, file: &str) -> String {
        format!("{}{file}", self.own)
    }

    fn pack_key(&self, name: &PackName) -> String {
        self.key(&format!("{PACKS}/{}", pack_file(name)))
    }

    fn get_url(&self, key: &str) -> io::Result<String> {
        self.url(|bucket, keys| bucket.get_object(keys, key).sign(VALID).into())
    }

    fn put_url(&self, key: &str) -> io::Result<String> {
        self.url(|bucket, keys| bucket.put_object(keys, key).sign(VALID).into())
    }

    fn put(
        &mut self,
        key: &str,
        headers: &[(&str, &str)],
        body: HttpBody<'_>,
        interrupt: &Interrupt,
    ) -> io::Result<sync_core::HttpReply> {
        let url = self.put_url(key)?;
        self.web.send(Ask { method: "PUT", url: &url, login: None, headers, body }, interrupt)
    }

    fn has_pack(&mut self, name: &PackName, interrupt: &Interrupt) -> io::Result<bool> {
        let key = self.pack_key(name);
        let url = self.url(|bucket, keys| bucket.head_object(keys, &key).sign(VALID).into())?;
        let reply = self.web.send(Ask { method: "HEAD", ..Ask::get(&url, None) }, interrupt)?;
        match reply.status() {
            200 => Ok(true),
            404 => Ok(false),
            _ => Err(self.web.failure(reply)),
        }
    }

    /// One page of the list of packs.
    fn page(&mut self, token: Option<&str>, interrupt: &Interrupt) -> io::Result<ListObjectsV2Response> {
        let prefix = self.key(&format!("{PACKS}/"));
        let url = self.url(|bucket, keys| {
            let mut action = bucket.list_objects_v2(keys);
            action.with_prefix(prefix.as_str());
            token.into_iter().for_each(|token| action.with_continuation_token(token));
            action.sign(VALID).into()
        })?;
        let reply = self.web.send(Ask::get(&url, None), interrupt)?;
        if reply.status() != 200 {
            return Err(self.web.failure(reply));
        }
        let body = self.web.read(reply, LONGEST_LIST)?;
        ListObjectsV2::parse_response(&String::from_utf8_lossy(&body))
            .map_err(|_| self.web.error(ErrorKind::InvalidData, "the answer is no list of objects"))
    }
}

fn bucket(url: &S3Url) -> Result<Bucket, String> {
    let region = &url.region;
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let (endpoint, style) = match &url.endpoint {
        Some(endpoint) => (endpoint.clone(), UrlStyle::Path),
        // Certificates do not cover names with dots.
        None if url.bucket.contains('.') => (format!("https://s3.{region}.{domain}"), UrlStyle::Path),
        None => (format!("https://s3.{region}.{domain}"), UrlStyle::VirtualHost),
    };
    let endpoint = endpoint.parse().map_err(|err| format!("has an invalid endpoint: {err}"))?;
    Bucket::new(endpoint, style, url.bucket.clone(), region.clone()).map_err(|err| err.to_string())
}

fn credentials(keys: &Keys) -> Credentials {
    let (key, secret) = (keys.access_key.clone(), keys.secret_key.expose().to_owned());
    match &keys.session_token {
        Some(token) => Credentials::new_with_token(key, secret, token.expose().to_owned()),
        None => Credentials::new(key, secret),
    }
}

impl Engine for S3 {
    fn tip(&mut self, interrupt: &Interrupt) -> io::Result<Option<Record>> {
        let url = self.get_url(&self.key(TIP))?;
        self.web.tip(Ask::get(&url, None), interrupt)
    }

    fn pack<'a>(
        &'a mut self,
        name: &PackName,
        interrupt: &'a Interrupt,
    ) -> io::Result<Box<dyn Read + Send + 'a>> {
        let url = self.get_url(&self.pack_key(name))?;
        self.web.pack(Ask::get(&url, None), name, interrupt).map(|reader| reader as _)
    }

    fn swap(&mut self, tip: &[u8], expected: Option<&Revision>, interrupt: &Interrupt) -> io::Result<Swap> {
        let condition = match expected {
            Some(Revision(etag)) => ("If-Match", etag.as_str()),
            None => ("If-None-Match", "*"),
        };
        let headers = [condition, FRESH, ("Content-Type", "application/json")];
        let reply = self.put(&self.key(TIP), &headers, HttpBody::Bytes(tip), interrupt)?;
        match reply.status() {
            200 | 201 | 204 => match reply.header("etag") {
                Some(etag) => Ok(Swap::Done(Revision(etag.to_owned()))),
                None => Err(self.web.error(ErrorKind::InvalidData, "the answer has no ETag")),
            },
            // Somebody else was first, or is writing now, or removed it; or the answer to our own write was lost.
            409 | 412 => Ok(self.stored_as(tip, interrupt)?),
            404 if expected.is_some() => Ok(self.stored_as(tip, interrupt)?),
            _ => Err(self.web.failure(reply)),
        }
    }

    fn put_pack(
        &mut self,
        name: &PackName,
        length: u64,
        pack: &mut fs_err::File,
        interrupt: &Interrupt,
    ) -> io::Result<()> {
        if pack.metadata()?.len() < length {
            return Err(too_short());
        }
        if self.has_pack(name, interrupt)? {
            return Ok(());
        }
        let reply = self.put(&self.pack_key(name), &[IMMUTABLE], HttpBody::File(pack, length), interrupt)?;
        if matches!(reply.status(), 200 | 201 | 204) { Ok(()) } else { Err(self.web.failure(reply)) }
    }

    fn packs(&mut self, interrupt: &Interrupt) -> io::Result<Vec<PackName>> {
        let prefix = self.key(&format!("{PACKS}/"));
        let (mut packs, mut token) = (Vec::new(), None);
        loop {
            let page = self.page(token.as_deref(), interrupt)?;
            for object in page.contents {
                let Some(name) = object.key.strip_prefix(&prefix).and_then(pack_of) else { continue };
                packs.push(name);
            }
            token = page.next_continuation_token;
            if token.is_none() {
                return Ok(packs);
            }
        }
    }

    fn remove_pack(&mut self, name: &PackName, interrupt: &Interrupt) -> io::Result<()> {
        let key = self.pack_key(name);
        let url = self.url(|bucket, keys| bucket.delete_object(keys, &key).sign(VALID).into())?;
        let reply = self.web.send(Ask { method: "DELETE", ..Ask::get(&url, None) }, interrupt)?;
        if matches!(reply.status(), 200 | 204 | 404) { Ok(()) } else { Err(self.web.failure(reply)) }
    }

    fn is_connected(&self) -> bool {
        self.web.is_connected()
    }
}

impl S3 {
    /// Whether this tip is the stored one, though the swap was refused.
    fn stored_as(&mut self, tip: &[u8], interrupt: &Interrupt) -> io::Result<Swap> {
        match self.tip(interrupt)? {
            Some(record) if record.bytes == tip => Ok(Swap::Done(record.revision)),
            _ => Ok(Swap::Lost),
        }
    }
}
