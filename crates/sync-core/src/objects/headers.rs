//! The kind and size of objects, found without resolving deltas.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;

use gix::objs::{FindHeader, Header, HeaderExt, Kind};

use super::chain::{MAX_CHAIN_LENGTH, Stored};
use super::{Objects, PackLocation, corrupt};

/// Reads headers. The kind of every entry on a delta chain is cached: otherwise asking for all objects of a chain
/// would follow it again and again.
pub(crate) struct Headers<'a> {
    objects: &'a Objects,
    kinds: RefCell<HashMap<PackLocation, Kind>>,
}

impl Objects {
    pub(crate) fn headers(&self) -> Headers<'_> {
        Headers { objects: self, kinds: RefCell::default() }
    }
}

impl Headers<'_> {
    fn of(&self, location: PackLocation) -> io::Result<Header> {
        let stored = self.objects.stored(location)?;
        Ok(Header { size: self.objects.size(&stored)?, kind: self.kind(stored)? })
    }

    fn kind(&self, mut stored: Stored) -> io::Result<Kind> {
        let mut walked = Vec::new();
        let kind = loop {
            if let Some(kind) = stored.entry.header.as_kind() {
                break kind;
            }
            if let Some(kind) = self.kinds.borrow().get(&stored.location) {
                break *kind;
            }
            walked.push(stored.location);
            match self.objects.base(&stored)? {
                Some(base) if walked.len() <= MAX_CHAIN_LENGTH => stored = self.objects.stored(base)?,
                _ => return Err(corrupt("a delta chain is too long")),
            }
        };
        self.kinds.borrow_mut().extend(walked.into_iter().map(|location| (location, kind)));
        Ok(kind)
    }
}

impl FindHeader for Headers<'_> {
    fn try_header(&self, id: &gix::oid) -> gix::Result<Option<Header>> {
        match self.objects.locate(id) {
            Some(location) => self.of(location).map(Some).map_err(gix::Error::from_error),
            None => FindHeader::try_header(&self.objects.odb, id),
        }
    }
}

impl HeaderExt for Headers<'_> {}
