//! Pointers: the small texts that a repository holds in place of the content.

use super::{LfsObject, Oid};

/// A blob of this size or more is no pointer.
pub(crate) const TOO_LARGE: u64 = 1024;

/// The versions of the format, all of which are read alike.
const VERSIONS: [&str; 3] =
    ["https://git-lfs.github.com/spec/v1", "https://hawser.github.com/spec/v1", "http://git-media.io/v/2"];

/// What a blob is to Git LFS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pointer {
    /// It names an object.
    Object(LfsObject),
    /// It names one that a program has to process. Such files stay pointers.
    Extended,
    /// It is content itself.
    No,
}

impl Pointer {
    /// Read a blob as git-lfs does.
    pub(crate) fn parse(blob: &[u8]) -> Pointer {
        if blob.len() as u64 >= TOO_LARGE {
            return Pointer::No;
        }
        let text = std::str::from_utf8(blob).unwrap_or_default().trim();
        let mut lines = text.lines().filter(|line| !line.is_empty());
        let mut is_extended = false;
        let mut value = |wanted: &str| loop {
            let (key, value) = lines.next()?.split_once(' ')?;
            if key == wanted {
                return Some(value);
            }
            is_extended |= is_extension(key);
            if !is_extension(key) {
                return None;
            }
        };
        let mut values = || Some([value("version")?, value("oid")?, value("size")?]);
        let Some([version, oid, size]) = values() else { return Pointer::No };
        let oid = oid.strip_prefix("sha256:").and_then(Oid::from_hex);
        let is_number = size.bytes().all(|byte| byte.is_ascii_digit());
        let size = size.parse::<i64>().ok().filter(|_| is_number).and_then(|size| size.try_into().ok());
        match (oid, size) {
            (Some(oid), Some(size)) if VERSIONS.contains(&version) && lines.next().is_none() => {
                if is_extended { Pointer::Extended } else { Pointer::Object(LfsObject { oid, size }) }
            }
            _ => Pointer::No,
        }
    }
}

/// Whether a key is that of an extension: `ext-0-name`.
fn is_extension(key: &str) -> bool {
    let rest = key.strip_prefix("ext-").and_then(|rest| rest.split_once('-'));
    rest.is_some_and(|(priority, name)| {
        priority.len() == 1 && priority.as_bytes()[0].is_ascii_digit() && !name.is_empty()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OID: &str = "2526f2d1b0b6f8c5f2e5bd7cbbd0d7a5b1c0f6a3ee1fd2a4a7ce9f1fa2f3b4c5";

    #[test]
    fn pointers_are_what_git_lfs_takes_for_one() {
        let usual = format!("version {}\noid sha256:{OID}\nsize 12\n", VERSIONS[0]);
        let object = |size| Pointer::Object(LfsObject { oid: Oid::from_hex(OID).unwrap(), size });
        let long = format!("{usual}{}", "\n".repeat(1023 - usual.len()));
        for (text, expected) in [
            (usual.clone(), object(12)),
            (usual.replace(VERSIONS[0], VERSIONS[1]), object(12)),
            (usual.replace(VERSIONS[0], VERSIONS[2]), object(12)),
            (format!("\n \n{usual}\n"), object(12)),
            (usual.replace('\n', "\n\n"), object(12)),
            (usual.replace('\n', "\r\n"), object(12)),
            (long.clone(), object(12)),
            (usual.replace("12", "0"), object(0)),
            (usual.replace("12", "9223372036854775807"), object(i64::MAX as u64)),
            (usual.replace("oid", "ext-0-x sha256:1\noid"), Pointer::Extended),
            (format!("{long}\n"), Pointer::No),
            (usual.replace("12", "9223372036854775808"), Pointer::No),
            (usual.replace("12", "+12"), Pointer::No),
            (usual.replace("12", "-12"), Pointer::No),
            (usual.replace("12", ""), Pointer::No),
            (usual.replace("12", "1 2"), Pointer::No),
            (usual.replace("/v1", "/v3"), Pointer::No),
            (usual.replace("sha256", "sha1"), Pointer::No),
            (usual.replace(OID, &OID.to_uppercase()), Pointer::No),
            (usual.replace(OID, &OID[1..]), Pointer::No),
            (usual.replace("oid", "other x\noid"), Pointer::No),
            (usual.replace("oid", "ext-10-x y\noid"), Pointer::No),
            (format!("{usual}more\n"), Pointer::No),
            (format!("\u{feff}{usual}"), Pointer::No),
            (format!("{usual}\0"), Pointer::No),
            (usual[..60].to_owned(), Pointer::No),
            (String::new(), Pointer::No),
        ] {
            assert_eq!(Pointer::parse(text.as_bytes()), expected, "{text:?}");
        }
        assert_eq!(Pointer::parse(&[usual.as_bytes(), b"\xff"].concat()), Pointer::No);
    }
}
