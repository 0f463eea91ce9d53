//! What kind objects are of, and how large, without making them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;

use gix::objs::{FindHeader, Header, HeaderExt, Kind};

use super::chain::{LONGEST, PackLocation, Stored};
use super::{Objects, corrupt};

/// Remembers what deltas start from: of a chain, every object may be asked for.
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
    fn of(&self, place: PackLocation) -> io::Result<Header> {
        let stored = self.objects.stored(place)?;
        Ok(Header { size: self.objects.size(&stored)?, kind: self.kind(stored)? })
    }

    fn kind(&self, mut stored: Stored) -> io::Result<Kind> {
        let mut passed = Vec::new();
        let kind = loop {
            if let Some(kind) = stored.entry.header.as_kind() {
                break kind;
            }
            if let Some(kind) = self.kinds.borrow().get(&stored.place) {
                break *kind;
            }
            passed.push(stored.place);
            match self.objects.base(&stored)? {
                Some(base) if passed.len() <= LONGEST => stored = self.objects.stored(base)?,
                _ => return Err(corrupt("a chain of deltas has no end")),
            }
        };
        self.kinds.borrow_mut().extend(passed.into_iter().map(|place| (place, kind)));
        Ok(kind)
    }
}

impl FindHeader for Headers<'_> {
    fn try_header(&self, id: &gix::oid) -> gix::Result<Option<Header>> {
        match self.objects.locate(id) {
            Some(place) => self.of(place).map(Some).map_err(gix::Error::from_error),
            None => FindHeader::try_header(&self.objects.others, id),
        }
    }
}

impl HeaderExt for Headers<'_> {}
