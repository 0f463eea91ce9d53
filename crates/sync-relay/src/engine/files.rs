//! The names of tips and packs, for engines that keep them as files.

use ring::digest::{SHA256, digest};

use super::PackName;

/// The file of the tip.
pub(super) const TIP: &str = "tip.json";

/// The directory of the packs.
pub(super) const PACKS: &str = "packs";

/// The SHA-256 of bytes, in hexadecimal.
pub(super) fn digest_of(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The file of a pack.
pub(super) fn pack_file(name: &PackName) -> String {
    format!("{name}.pack")
}

/// The pack that a file has, if its name is that of one.
pub(super) fn pack_of(file: &str) -> Option<PackName> {
    let hex = file.strip_suffix(".pack").filter(|hex| hex.len() == 64)?;
    let mut bytes = [0; 32];
    for (byte, digits) in bytes.iter_mut().zip(hex.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(is_lower_hex))?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(PackName(bytes))
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
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
