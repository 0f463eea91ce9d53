//! The body of a hook, read within bounds of time and memory while its signature is computed.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use hyper::body::Body as _;
use tokio::time::timeout;

use super::form::Form;
use super::proof::Signed;

/// The largest body: as large as GitHub's may be.
const LARGEST: u64 = 25 << 20;

/// How much is kept of it, to be understood. Of a longer one only the signature counts.
const KEPT: usize = 256 << 10;

/// How long it may take.
const TIME: Duration = Duration::from_secs(5);

/// What is read of a body.
pub struct Read {
    /// The JSON; `None` if it is longer than what is kept.
    pub json: Option<Vec<u8>>,
    pub signed: Option<Signed>,
}

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    TooLarge,
    TooSlow,
    /// The connection ended, or the body is not what HTTP allows.
    Broken,
}

/// Whether the body is a form, with the JSON in a field.
pub fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// Read it all.
pub async fn read(body: Body, is_form: bool, signed: Option<Signed>) -> Result<Read, Fault> {
    if body.size_hint().lower() > LARGEST {
        return Err(Fault::TooLarge);
    }
    let reader = Reader { read: 0, form: is_form.then(Form::default), json: Some(Vec::new()), signed };
    timeout(TIME, reader.read(body)).await.unwrap_or(Err(Fault::TooSlow))
}

struct Reader {
    read: u64,
    form: Option<Form>,
    json: Option<Vec<u8>>,
    signed: Option<Signed>,
}

impl Reader {
    async fn read(mut self, mut body: Body) -> Result<Read, Fault> {
        while let Some(piece) = next(&mut body).await? {
            self.read += piece.len() as u64;
            if self.read > LARGEST {
                return Err(Fault::TooLarge);
            }
            self.add(&piece);
        }
        let Reader { form, mut json, mut signed, .. } = self;
        if let Some(mut form) = form {
            form.finish(&mut |inside| keep(&mut json, &mut signed, inside));
        }
        Ok(Read { json, signed })
    }

    fn add(&mut self, piece: &[u8]) {
        let Reader { form, json, signed, .. } = self;
        if let Some(signed) = signed {
            signed.body(piece);
        }
        match form {
            Some(form) => form.push(piece, &mut |inside| keep(json, signed, inside)),
            None => keep_only(json, piece),
        }
    }
}

/// What is in a form.
fn keep(json: &mut Option<Vec<u8>>, signed: &mut Option<Signed>, inside: &[u8]) {
    if let Some(signed) = signed {
        signed.inside(inside);
    }
    keep_only(json, inside);
}

fn keep_only(json: &mut Option<Vec<u8>>, piece: &[u8]) {
    if json.as_ref().is_some_and(|json| json.len() + piece.len() > KEPT) {
        *json = None;
    }
    if let Some(json) = json {
        json.extend_from_slice(piece);
    }
}

/// The next piece; trailers are passed over.
async fn next(body: &mut Body) -> Result<Option<Bytes>, Fault> {
    loop {
        match poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
            None => return Ok(None),
            Some(Err(_)) => return Err(Fault::Broken),
            Some(Ok(frame)) => {
                if let Ok(piece) = frame.into_data() {
                    return Ok(Some(piece));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn json(body: Vec<u8>, is_form: bool) -> Result<Option<Vec<u8>>, Fault> {
        read(Body::from(body), is_form, None).await.map(|read| read.json)
    }

    #[tokio::test]
    async fn what_is_long_is_not_kept_and_what_is_too_long_is_refused() {
        assert_eq!(json(b"{}".to_vec(), false).await, Ok(Some(b"{}".to_vec())));
        assert_eq!(json(b"x=1&payload=%7B%7D".to_vec(), true).await, Ok(Some(b"{}".to_vec())));
        assert!(json(vec![b' '; KEPT], false).await.is_ok_and(|json| json.is_some()));
        assert_eq!(json(vec![b' '; KEPT + 1], false).await, Ok(None));
        assert_eq!(json(vec![b' '; LARGEST as usize], false).await, Ok(None));
        assert_eq!(json(vec![b' '; LARGEST as usize + 1], false).await, Err(Fault::TooLarge));
    }

    #[test]
    fn forms_are_known_by_their_type() {
        for (kind, expected) in [
            ("application/x-www-form-urlencoded", true),
            ("Application/X-WWW-Form-Urlencoded ; charset=utf-8", true),
            ("application/json", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind.parse().unwrap())]);
            assert_eq!(is_form(&headers), expected, "{kind}");
        }
        assert!(!is_form(&HeaderMap::new()));
    }
}
