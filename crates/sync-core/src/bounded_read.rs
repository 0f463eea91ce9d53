//! Read whole files up to a size limit. Files that users name could be of any size, or devices without an end.

use std::io::{self, Read};
use std::path::Path;

use fs_err::File;

/// The size limit, in bytes, for a file that a user names: a key, a password, logins, certificates. It is 8 MiB.
pub const LARGEST_FILE: u64 = 8 << 20;

/// Read a file of no more than `most` bytes.
///
/// # Errors
///
/// The file cannot be read, or is larger ([`io::ErrorKind::FileTooLarge`]). The text names the file.
pub fn read_bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut content)?;
    if content.len() as u64 <= most {
        return Ok(content);
    }
    let text = format!("{} is larger than the limit of {most} bytes", path.display());
    Err(io::Error::new(io::ErrorKind::FileTooLarge, text))
}

/// Read a text file of no more than `most` bytes.
///
/// # Errors
///
/// The file cannot be read, is larger ([`io::ErrorKind::FileTooLarge`]), or is not UTF-8
/// ([`io::ErrorKind::InvalidData`]). The text names the file.
pub fn read_bounded_text(path: &Path, most: u64) -> io::Result<String> {
    String::from_utf8(read_bounded(path, most)?).map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{} is not UTF-8 text", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_have_as_much_as_is_allowed_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs_err::write(&path, "12345678").unwrap();
        assert_eq!(read_bounded(&path, 8).unwrap(), b"12345678");
        let too_large = read_bounded(&path, 7).unwrap_err().to_string();
        assert!(too_large.contains(path.to_str().unwrap()) && too_large.contains("7 bytes"), "{too_large}");
        assert!(read_bounded(Path::new("/dev/zero"), 1 << 20).is_err());
        fs_err::write(&path, b"\xff").unwrap();
        assert!(read_bounded_text(&path, 8).unwrap_err().to_string().contains("not UTF-8"));
    }
}
