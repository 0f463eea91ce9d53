//! Limits on what a commit may cost this machine. A commit beyond them is a mistake or an attack: a retry does not
//! help, and the caller has to decide.

use std::fmt;
use std::io::{self, BufRead, Read};

/// Limits for one commit together with its submodules. `u64::MAX` means no limit. A commit that exceeds one fails with
/// [`ErrorKind::Limit`](crate::ErrorKind::Limit).
///
/// ```
/// let mut limits = sync_core::Limits::default();
/// limits.tree_size = 1 << 30;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Number of files and directories in the tree. The default is one million.
    pub files: u64,
    /// Total size of these files in bytes. The default is 100 GiB.
    pub tree_size: u64,
    /// Size of one file in bytes. The default is 10 GiB.
    pub blob_size: u64,
    /// Size of one pack from a server, in bytes. The default is 100 GiB.
    pub pack_size: u64,
    /// Number of submodules, including nested ones. The default is 1000.
    pub submodules: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            files: 1_000_000,
            tree_size: 100 << 30,
            blob_size: 10 << 30,
            pack_size: 100 << 30,
            submodules: 1_000,
        }
    }
}

/// A limit is exceeded; the text names the limit.
#[derive(Debug)]
pub(crate) struct Excess(String);

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Excess {}

impl From<Excess> for io::Error {
    fn from(excess: Excess) -> Self {
        io::Error::other(excess)
    }
}

impl Excess {
    /// An object that must be in memory is too large.
    pub(crate) fn of_object(kind: gix::objs::Kind, size: u64, most: u64) -> Excess {
        Excess(format!("a {kind} of {size} bytes is too large: no more than {} fit into memory", Bytes(most)))
    }

    /// A file for Git itself, such as `.gitattributes`, must be in memory and is too large.
    pub(crate) fn of_text(what: impl fmt::Display, size: u64, most: u64) -> Excess {
        let most = Bytes(most);
        Excess(format!("{what} of {size} bytes is too large: no more than {most} can be read into memory"))
    }

    /// The server sends too much besides packs: its list of references.
    pub(crate) fn of_server_text(most: u64) -> Excess {
        Excess(format!("the server lists more references than fit into {}", Bytes(most)))
    }
}

impl Limits {
    pub(crate) fn check_files(&self, count: u64) -> Result<(), Excess> {
        let most = self.files;
        within(count, most, || format!("it has more than {most} files and directories (limit max-files)"))
    }

    pub(crate) fn check_tree(&self, size: u64) -> Result<(), Excess> {
        let most = Bytes(self.tree_size);
        within(size, most.0, || format!("its files have more than {most} (limit max-tree-size)"))
    }

    pub(crate) fn check_blob(&self, size: u64, path: impl fmt::Debug) -> Result<(), Excess> {
        let (found, most) = (Bytes(size), Bytes(self.blob_size));
        within(size, most.0, || format!("{path:?} has {found}, more than {most} (limit max-blob-size)"))
    }

    pub(crate) fn check_submodules(&self, count: u64) -> Result<(), Excess> {
        let most = self.submodules;
        within(count, most, || format!("there are more than {most} submodules (limit max-submodules)"))
    }

    /// A reader that fails when the pack exceeds its limit.
    pub(crate) fn pack<'a>(&self, inner: &'a mut dyn BufRead) -> LimitedPack<'a> {
        LimitedPack { inner, most: self.pack_size, passed: 0 }
    }
}

fn within(found: u64, most: u64, text: impl FnOnce() -> String) -> Result<(), Excess> {
    if found <= most { Ok(()) } else { Err(Excess(text())) }
}

/// Reads a pack, and fails beyond a limit.
pub(crate) struct LimitedPack<'a> {
    inner: &'a mut dyn BufRead,
    most: u64,
    passed: u64,
}

impl BufRead for LimitedPack<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let most = Bytes(self.most);
        within(self.passed, most.0, || format!("the pack has more than {most} (limit max-pack-size)"))?;
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.passed += amount as u64;
        self.inner.consume(amount);
    }
}

impl Read for LimitedPack<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let amount = self.fill_buf()?.read(buffer)?;
        self.consume(amount);
        Ok(amount)
    }
}

/// A size, shown in the largest unit that leaves a whole number.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
        match units.iter().find(|(shift, _)| self.0 > 0 && self.0.is_multiple_of(1 << shift)) {
            Some((shift, unit)) => write!(f, "{} {unit}", self.0 >> shift),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_whole_numbers() {
        for (size, text) in [
            (0, "0 bytes"),
            (1000, "1000 bytes"),
            (3 << 10, "3 KiB"),
            (1025 << 20, "1025 MiB"),
            (10 << 30, "10 GiB"),
        ] {
            assert_eq!(Bytes(size).to_string(), text);
        }
    }

    #[test]
    fn a_pack_may_be_as_large_as_its_limit_and_no_larger() {
        let read = |most| {
            let limits = Limits { pack_size: most, ..Limits::default() };
            let mut text = Vec::new();
            limits.pack(&mut io::BufReader::with_capacity(3, &b"0123456789"[..])).read_to_end(&mut text)
        };
        assert_eq!(read(10).unwrap(), 10);
        assert!(read(9).unwrap_err().to_string().contains("more than 9 bytes (limit max-pack-size)"));
    }
}
