//! Options with a few values that have names.

use std::str::FromStr;

/// Declares such values with the words for each: the first is the one to use, the others are still accepted.
macro_rules! choices {
    ($(#[$meta:meta])* $type:ident { $($(#[$doc:meta])* $value:ident = $word:literal $(| $other:literal)*,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type {
            $($(#[$doc])* $value,)*
        }

        impl FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word $(| $other)* => Ok($type::$value),)*
                    _ => Err(no_choice(text, &[$($word),*])),
                }
            }
        }
    };
}

/// What to say of a text that is none of the words.
pub fn no_choice(text: &str, words: &[&str]) -> String {
    let (last, others) = words.split_last().unwrap_or((&"", &[]));
    format!("must be {} or {last}, not {text:?}", others.join(", "))
}

choices! {
    /// The order of references, of which the last one is synced.
    RefOrder {
        /// The versions that tags name.
        Semver = "semver",
        /// Their names, with numbers compared by value.
        Name = "name",
    }
}

choices! {
    /// What to do with a relay.
    RelayRole {
        /// Get commits from it.
        Follow = "follow",
        /// Publish commits to it.
        Feed = "feed",
    }
}

choices! {
    /// What the published path is.
    Publish {
        /// A symbolic link to a tree.
        Symlink = "symlink",
        /// A directory that is exchanged for the next one.
        Directory = "directory",
        /// A directory that is updated file by file.
        InPlace = "in-place",
    }
}

choices! {
    /// How unchanged files come into a new tree.
    FileReuse {
        /// They are hard links to those of the last tree.
        HardLink = "hardlink" | "link",
        /// They are written again.
        None = "none" | "copy",
    }
}

choices! {
    /// What is flushed to disk before the link is switched.
    Fsync {
        /// Nothing.
        Off = "off" | "none",
        /// Everything.
        All = "all" | "data",
    }
}

choices! {
    /// When to repack the store.
    GitGc {
        /// When it has many packs.
        Auto = "auto" | "always",
        /// After every change.
        Aggressive = "aggressive",
        /// Never.
        Off = "off",
    }
}

choices! {
    /// The OAuth grant that gets a token.
    Grant {
        /// RFC 6749, 4.4; with an assertion, RFC 7523.
        ClientCredentials = "client-credentials" | "",
        /// RFC 8693.
        TokenExchange = "token-exchange",
    }
}

choices! {
    /// The format of the log.
    #[derive(Default)]
    LogFormat {
        /// Text on a terminal, JSON lines otherwise.
        #[default]
        Auto = "auto",
        /// Text.
        Text = "text",
        /// JSON lines.
        Json = "json",
    }
}

choices! {
    /// What becomes of a repository that is no longer in the file.
    Removed {
        /// What was synced stays.
        Keep = "keep",
        /// What syncline made is removed.
        Delete = "delete",
    }
}

choices! {
    /// What follows too many failures of one of many repositories.
    GiveUp {
        /// It is not synced any more; the others are.
        Park = "park",
        /// The process ends.
        Exit = "exit",
    }
}

choices! {
    /// What a group does about a member that has nothing new to show yet.
    Incomplete {
        /// It waits for a time, and then goes without it.
        Hold = "hold",
        /// It waits.
        HoldForever = "hold-forever",
    }
}
