//! The attributes for line endings: `text`, `crlf` and `eol`.

use gix::attrs::StateRef;
use gix::bstr::ByteSlice;
use gix::filter::plumbing::eol::{AttributesDigest, convert_to_worktree};

use super::{Conversion, States, Step, value};

pub(super) struct Eol;

impl Conversion for Eol {
    fn attributes(&self) -> &'static [&'static str] {
        &["text", "crlf", "eol"]
    }

    fn mark(&self) -> &'static str {
        "crlf"
    }

    fn is_done_by_gix(&self) -> bool {
        true
    }

    /// Only CRLF needs a conversion: on checkout, git never converts to LF.
    fn step(&self, attributes: &States<'_>) -> Option<Step> {
        use AttributesDigest::{TextAutoCrlf, TextCrlf};
        let digest = digest(attributes);
        matches!(digest, TextCrlf | TextAutoCrlf).then(|| {
            let step = move |content: Vec<u8>, _| {
                let mut converted = Vec::new();
                let is_converted = convert_to_worktree(&content, digest, &mut converted, Default::default())?;
                Ok(if is_converted { converted } else { content })
            };
            Box::new(step) as Step
        })
    }
}

/// How git treats the line endings of a file. `text` comes before its old name `crlf`.
pub(super) fn digest(attributes: &States<'_>) -> AttributesDigest {
    use AttributesDigest::{Binary, TextAuto, TextAutoCrlf, TextAutoInput, TextCrlf, TextInput};
    let decides = |state: &StateRef<'_>| match *state {
        StateRef::Set | StateRef::Unset => true,
        state => value(state) == "auto" || value(state) == "input",
    };
    let states = ["text", "crlf"].map(|name| attributes.get(name));
    let text = states.into_iter().find(decides).unwrap_or(StateRef::Unspecified);
    match (value(text) == "auto", attributes.value("eol").as_bytes()) {
        _ if text == StateRef::Unset => Binary,
        (true, b"lf") => TextAutoInput,
        (true, b"crlf") => TextAutoCrlf,
        (true, _) => TextAuto,
        (false, b"crlf") => TextCrlf,
        (false, _) => TextInput,
    }
}
