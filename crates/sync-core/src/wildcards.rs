//! Patterns with `*` and `?`, and lists of them, as OpenSSH has them.

/// Patterns with `*` and `?`, of which one must match; none that begins with `!` may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Patterns(String);

impl Patterns {
    pub(crate) fn new(list: impl Into<String>) -> Self {
        Patterns(list.into())
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        list_matches(self.0.split(','), text)
    }

    /// As in the file.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether one of the patterns matches the text, and none that begins with `!` does.
pub(crate) fn list_matches<'a>(patterns: impl IntoIterator<Item = &'a str>, text: &str) -> bool {
    let mut is_matched = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(pattern) if wildcard_match(pattern, text) => return false,
            Some(_) => {}
            None => is_matched |= wildcard_match(pattern, text),
        }
    }
    is_matched
}

/// Whether a pattern with `*` and `?` matches the whole text.
pub(crate) fn wildcard_match(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut next, mut retry) = (0, 0, None);
    while next < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                retry = Some((at, next));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[next] => (at, next) = (at + 1, next + 1),
            _ => match retry {
                Some((star, from)) => {
                    (at, next) = (star + 1, from + 1);
                    retry = Some((star, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_whole_texts() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*@x", "dev@x.org", false),
            ("*a*b*", "xxaxxbxx", true),
            ("", "a", false),
        ] {
            assert_eq!(wildcard_match(pattern, text), expected, "{pattern} {text}");
        }
        assert!(!wildcard_match(&"*a".repeat(50), &"a".repeat(40)));
    }
}
