//! The names of tips and packs, for engines that keep them as files.

use ring::digest::{SHA256, digest};

use super::PackName;
use crate::hex::{hex, sha256};

/// The file of the tip.
pub(super) const TIP: &str = "tip.json";

/// The directory of the packs.
pub(super) const PACKS: &str = "packs";

/// The SHA-256 of bytes, in hexadecimal.
pub(super) fn digest_of(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// The file of a pack.
pub(super) fn pack_file(name: &PackName) -> String {
    format!("{name}.pack")
}

/// The pack that a file has, if its name is that of one.
pub(super) fn pack_of(file: &str) -> Option<PackName> {
    let name = PackName(sha256(file.strip_suffix(".pack")?)?);
    (pack_file(&name) == file).then_some(name) // so without capital letters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_and_packs_belong_to_each_other() {
        let name = PackName(std::array::from_fn(|at| at as u8 * 8));
        assert_eq!(pack_of(&pack_file(&name)), Some(name));
        let long = "0".repeat(64);
        for other in ["", ".pack", &long, &format!("+{}.pack", &long[1..]), &format!("{}A.pack", &long[1..])]
        {
            assert_eq!(pack_of(other), None, "{other}");
        }
    }
}
