//! Large loose objects. git-sync or a working copy may have left them in the root.

use std::io::{self, BufRead, Read};

use fs_err::File;
use gix::objs::Kind;

use super::inflate::stream;
use super::{Objects, corrupt};
use crate::fs_ext::if_there;

/// A file with a deflated header and object.
pub(super) struct Loose {
    file: File,
    pub(super) kind: Kind,
    size: u64,
    header: u64,
}

impl Objects {
    /// A loose object; `None` if there is none or if it is small.
    pub(super) fn loose(&self, id: &gix::oid) -> io::Result<Option<Loose>> {
        let name = id.to_hex().to_string();
        let opened = File::open(self.dir.join(&name[..2]).join(&name[2..]));
        let Some(file) = if_there(opened)? else { return Ok(None) };
        let mut start = [0; 64];
        let length = self.scratch.borrow_mut().inflater.start(&file, 0, &mut start)?;
        let (kind, size, header) = gix::objs::decode::loose_header(&start[..length]).map_err(corrupt)?;
        Ok((size > self.resources.stream_threshold()).then_some(Loose {
            file,
            kind,
            size,
            header: header as u64,
        }))
    }
}

impl Loose {
    /// A reader of the object, after its header.
    pub(super) fn bytes(&self) -> io::Result<impl BufRead> {
        let mut all = stream(&self.file, 0, self.header + self.size);
        io::copy(&mut all.by_ref().take(self.header), &mut io::sink())?;
        Ok(all)
    }
}
