//! The batch API (docs/api/batch.md of git-lfs): which objects are wanted, and where they are.

use serde_json::{Value, json};

use super::{LfsObject, Oid};
use crate::url::{Kind, RemoteUrl};

/// The media type of requests and answers.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.git-lfs+json";

/// How many objects one request asks for.
pub(crate) const MAX_OBJECTS: usize = 100;

/// The largest answer, in bytes.
pub(crate) const MAX_ANSWER: u64 = 4 << 20;

/// The longest URL of an object, in bytes.
const MAX_HREF: usize = 16 << 10;

/// The most headers of an action, and their total size in bytes.
const MAX_HEADERS: usize = 32;
const MAX_HEADER_BYTES: usize = 16 << 10;

/// Headers that belong to the connection, and are not the server's to set.
const CONNECTION_HEADERS: [&str; 6] =
    ["host", "content-length", "transfer-encoding", "connection", "upgrade", "te"];

/// How to get an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Action {
    /// An http or https URL, which may be secret.
    pub(crate) href: String,
    /// They may be secret.
    pub(crate) headers: Vec<(String, String)>,
    /// Whether the server says that the URL needs no login.
    pub(crate) is_authenticated: bool,
}

/// Why a server does not give an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Denial {
    /// As an HTTP status.
    pub(crate) code: u64,
    pub(crate) message: String,
}

/// The request for objects. `reference` is the full name of the reference that is followed.
pub(crate) fn request(objects: &[LfsObject], reference: Option<&str>) -> Vec<u8> {
    let objects: Vec<Value> =
        objects.iter().map(|object| json!({ "oid": object.oid.to_string(), "size": object.size })).collect();
    let mut request =
        json!({ "operation": "download", "transfers": ["basic"], "objects": objects, "hash_algo": "sha256" });
    if let Some(name) = reference {
        request["ref"] = json!({ "name": name });
    }
    request.to_string().into_bytes()
}

/// Read the answer for `asked`, in the same order. `endpoint` is the URL that answered.
pub(crate) fn parse(
    body: &[u8],
    asked: &[LfsObject],
    endpoint: &str,
) -> Result<Vec<Result<Action, Denial>>, String> {
    let answer: Value =
        serde_json::from_slice(body).map_err(|err| format!("its answer is not JSON: {err}"))?;
    if let Some(transfer) =
        answer.get("transfer").filter(|transfer| !transfer.is_null() && *transfer != "basic")
    {
        return Err(format!("it wants the transfer {transfer}, and only \"basic\" is supported"));
    }
    if let Some(algorithm) =
        answer.get("hash_algo").filter(|algorithm| !algorithm.is_null() && *algorithm != "sha256")
    {
        return Err(format!("it wants the hash algorithm {algorithm}, and only \"sha256\" is supported"));
    }
    let objects = answer.get("objects").and_then(Value::as_array).ok_or("its answer lists no objects")?;
    let mut found: Vec<Option<Result<Action, Denial>>> = asked.iter().map(|_| None).collect();
    for object in objects {
        let oid = object.get("oid").and_then(Value::as_str).and_then(Oid::from_hex);
        let at = asked.iter().position(|wanted| Some(wanted.oid) == oid);
        let at = at.ok_or("its answer has an object that was not asked for")?;
        if object.get("size").is_some_and(|size| !size.is_null() && size.as_u64() != Some(asked[at].size)) {
            return Err(format!("its answer has another size for {}", asked[at].oid));
        }
        if found[at].replace(read_object(object, endpoint)?).is_some() {
            return Err(format!("its answer has {} twice", asked[at].oid));
        }
    }
    found
        .into_iter()
        .zip(asked)
        .map(|(found, object)| found.ok_or_else(|| format!("its answer lacks {}", object.oid)))
        .collect()
}

fn read_object(object: &Value, endpoint: &str) -> Result<Result<Action, Denial>, String> {
    if let Some(error) = object.get("error").filter(|error| !error.is_null()) {
        let code = error.get("code").and_then(Value::as_u64).unwrap_or_default();
        let message = error.get("message").and_then(Value::as_str).unwrap_or("it gives no reason");
        return Ok(Err(Denial { code, message: message.chars().take(200).collect() }));
    }
    // Servers of old say `_links`.
    let actions = object.get("actions").or_else(|| object.get("_links"));
    let Some(download) = actions.and_then(|actions| actions.get("download")) else {
        return Ok(Err(Denial { code: 404, message: "it does not say where the object is".into() }));
    };
    let href = download.get("href").and_then(Value::as_str).unwrap_or_default();
    check_href(href, endpoint)?;
    let is_authenticated = object.get("authenticated").and_then(Value::as_bool).unwrap_or_default();
    Ok(Ok(Action { href: href.to_owned(), headers: headers(download.get("header"))?, is_authenticated }))
}

/// Check where an object is said to be.
pub(crate) fn check_href(href: &str, endpoint: &str) -> Result<(), String> {
    let refuse = |why: &str| Err(format!("it names a place for an object that {why}"));
    let (place, query) = href.split_once('?').unwrap_or((href, ""));
    let is_plain = query.bytes().all(|byte| byte.is_ascii_graphic()) && href.len() <= MAX_HREF;
    match place.parse::<RemoteUrl>() {
        Ok(url) if url.has_login() => refuse("has a user name or a password"),
        Ok(url) if url.protocol() == "http" && endpoint.starts_with("https:") => {
            refuse("is not https, though the LFS server is")
        }
        Ok(RemoteUrl(Kind::Http(_))) if is_plain => Ok(()),
        _ => refuse("is no http or https URL"),
    }
}

/// The headers that an action asks to send.
pub(crate) fn headers(map: Option<&Value>) -> Result<Vec<(String, String)>, String> {
    let Some(map) = map.filter(|map| !map.is_null()) else { return Ok(Vec::new()) };
    let map = map.as_object().ok_or("its answer has headers that are no object")?;
    let mut headers = Vec::new();
    for (name, value) in map {
        let value =
            value.as_str().ok_or_else(|| format!("its answer has a header {name:?} without a text"))?;
        let lower = name.to_ascii_lowercase();
        let is_ours = CONNECTION_HEADERS.contains(&&*lower) || lower.starts_with("proxy-");
        let is_name = !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
        if is_ours || !is_name || value.contains(['\r', '\n', '\0']) {
            return Err(format!("it wants a header {name:?} sent, which must not be"));
        }
        headers.push((name.clone(), value.to_owned()));
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    match headers.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
        true => Err(format!("it wants {} headers of {bytes} bytes sent, which is too much", headers.len())),
        false => Ok(headers),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(digit: &str) -> LfsObject {
        LfsObject { oid: Oid::from_hex(&digit.repeat(64)).unwrap(), size: 5 }
    }

    #[test]
    fn a_request_names_objects_and_the_reference() {
        let request: Value =
            serde_json::from_slice(&request(&[object("a")], Some("refs/heads/main"))).unwrap();
        let oid = "a".repeat(64);
        assert_eq!(
            request,
            json!({ "operation": "download", "transfers": ["basic"], "hash_algo": "sha256",
                "ref": { "name": "refs/heads/main" }, "objects": [{ "oid": oid, "size": 5 }] })
        );
    }

    #[test]
    fn answers_are_for_what_was_asked_or_are_refused() {
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        let asked = [object("a"), object("b")];
        let at = |oid: &str, href: &str| json!({ "oid": oid, "size": 5, "actions": { "download": { "href": href, "header": { "X-A": "b" } } } });
        let good = |oid: &str| at(oid, &format!("https://h/{oid}"));
        let parse = |answer: Value| parse(answer.to_string().as_bytes(), &asked, "https://h/lfs");
        let found = parse(json!({ "objects": [good(&b), good(&a)], "transfer": "basic" })).unwrap();
        let action = |oid: &str| Action {
            href: format!("https://h/{oid}"),
            headers: vec![("X-A".into(), "b".into())],
            is_authenticated: false,
        };
        assert_eq!(found, [Ok(action(&a)), Ok(action(&b))]);
        let missing = json!({ "oid": b, "size": 5, "error": { "code": 410, "message": "gone" } });
        let found = parse(json!({ "objects": [good(&a), missing] })).unwrap();
        assert_eq!(found[1], Err(Denial { code: 410, message: "gone".into() }));
        let found = parse(json!({ "objects": [good(&a), { "oid": b, "size": 5 }] })).unwrap();
        assert_eq!(found[1].as_ref().unwrap_err().code, 404);
        let with_header = |name: &str, value: &str| {
            let mut object = good(&b);
            object["actions"]["download"]["header"] = json!({ name: value });
            json!({ "objects": [good(&a), object] })
        };
        let all = |b: Value| json!({ "objects": [good(&a), b] });
        for (answer, words) in [
            (json!([]), "lists no objects"),
            (json!({ "objects": [good(&a)] }), "lacks bbbb"),
            (json!({ "objects": [good(&a), good(&a), good(&b)] }), "twice"),
            (all(good(&"c".repeat(64))), "not asked for"),
            (json!({ "objects": [good(&a), good(&b)], "transfer": "tus" }), "the transfer \"tus\""),
            (json!({ "objects": [good(&a), good(&b)], "hash_algo": "sha512" }), "hash algorithm"),
            (all(at(&b, "file:///etc/passwd")), "no http or https URL"),
            (all(at(&b, "//host/x")), "no http or https URL"),
            (all(at(&b, "http://h/x")), "is not https"),
            (all(at(&b, "https://u:p@h/x")), "a user name or a password"),
            (with_header("Host", "evil"), "\"Host\""),
            (with_header("proxy-authorization", "x"), "\"proxy-authorization\""),
            (with_header("X-A", "b\r\nHost: evil"), "\"X-A\""),
            (with_header("X A", "b"), "\"X A\""),
            (with_header("X-A", &"b".repeat(20_000)), "too much"),
        ] {
            let fault = parse(answer.clone()).unwrap_err();
            assert!(fault.contains(words), "{answer}: {fault}");
        }
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(super::parse(deep.as_bytes(), &asked, "https://h").unwrap_err().contains("not JSON"));
    }
}
