//! Conversion of a blob to the file in the working tree, by its attributes (gitattributes(5)).
//!
//! Here are the conversions that gix does not do as git does. To add one, implement [`Conversion`] in a new file, and
//! add a line to [`CONVERSIONS`].

mod encoding;
mod eol;
pub(crate) mod ident;

use gix::ObjectId;
use gix::attrs::search::Outcome;
use gix::attrs::{NameRef, StateRef};
use gix::bstr::{BStr, ByteSlice};

/// All conversions, in the order in which Git applies them.
const CONVERSIONS: [&dyn Conversion; 3] = [&ident::Ident, &eol::Eol, &encoding::WorkingTreeEncoding];

/// One conversion.
pub(crate) trait Conversion: Sync {
    /// The attributes on which it depends.
    fn attributes(&self) -> &'static [&'static str];

    /// A text that occurs in every `.gitattributes` that asks for this conversion.
    fn mark(&self) -> &'static str;

    /// Whether gix does this as git does. If so, we do it only for files that need another conversion, too.
    fn is_done_by_gix(&self) -> bool {
        false
    }

    /// The step for a file with these attributes; `None` if the file needs none.
    fn step(&self, attributes: &States<'_>) -> Option<Step>;
}

/// Converts the content of a file. The id is that of the blob.
pub(crate) type Step = Box<dyn Fn(Vec<u8>, ObjectId) -> gix::Result<Vec<u8>>>;

/// The attributes of a file.
pub(crate) struct States<'a>(Vec<(NameRef<'a>, StateRef<'a>)>);

impl<'a> States<'a> {
    fn of(found: &'a Outcome) -> Self {
        let states = found.iter_selected().map(|found| (found.assignment.name, found.assignment.state));
        States(states.collect())
    }

    fn get(&self, name: &str) -> StateRef<'a> {
        let found = self.0.iter().find(|(known, _)| known.as_str() == name);
        found.map_or(StateRef::Unspecified, |(_, state)| *state)
    }

    /// The value of an attribute; empty if it has none.
    fn value(&self, name: &str) -> &'a BStr {
        value(self.get(name))
    }
}

fn value(state: StateRef<'_>) -> &BStr {
    match state {
        StateRef::Value(value) => value.as_bstr(),
        _ => "".into(),
    }
}

/// All steps for one file, in order.
pub(crate) struct FileConversion(Vec<Step>);

impl FileConversion {
    /// The attributes on which any conversion depends.
    pub(crate) fn attributes() -> Vec<&'static str> {
        let mut names: Vec<_> =
            CONVERSIONS.iter().flat_map(|conversion| conversion.attributes()).copied().collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    pub(crate) fn of(found: &Outcome) -> Self {
        let attributes = States::of(found);
        FileConversion(CONVERSIONS.iter().filter_map(|conversion| conversion.step(&attributes)).collect())
    }

    /// Whether the file may differ from its blob.
    pub(crate) fn is_needed(&self) -> bool {
        !self.0.is_empty()
    }

    /// Convert the blob to the content of the file.
    pub(crate) fn apply(&self, blob: &[u8], id: ObjectId) -> gix::Result<Vec<u8>> {
        self.0.iter().try_fold(blob.to_vec(), |content, step| step(content, id))
    }
}

/// Whether a `.gitattributes` may make any file differ from its blob. `text` alone does not on Linux, and unknown
/// filters are ignored.
pub(crate) fn may_convert(attributes: &[u8]) -> bool {
    CONVERSIONS.iter().any(|conversion| attributes.contains_str(conversion.mark()))
}

/// Whether a `.gitattributes` may ask for a conversion that gix does not do as git does.
pub(crate) fn needs_us(attributes: &[u8]) -> bool {
    let mut ours = CONVERSIONS.iter().filter(|conversion| !conversion.is_done_by_gix());
    ours.any(|conversion| attributes.contains_str(conversion.mark()))
}
