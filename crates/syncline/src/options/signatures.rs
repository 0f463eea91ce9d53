//! Whose signatures a commit must have.

use std::path::PathBuf;

use sync_core::{ExpiredKeys, VerifyMode};

use super::table::{Opt, Setting, options, parsed, path, paths, value};
use super::values;

options! {
    "Signatures" {
        VERIFY: Setting<Option<VerifyMode>> = value("verify", "MODE", values::verify_mode)
            .help("Publish only what is signed: off, head (the commit), tag (the annotated tag) or tag-and-head (both)")
            .details("SSH and OpenPGP signatures are verified; those by X.509 are refused, with that reason. A \
                      signature says who made a commit, not that it is the newest one: see --forward-only")
            .default("off");
        VERIFY_ALLOWED_SIGNERS: Opt<PathBuf> = paths("verify-allowed-signers", "PATH")
            .help("A file of those who may sign, as in ssh-keygen(1), ALLOWED SIGNERS; can be given several times")
            .details("It is read anew at every sync. Times without Z are UTC, too");
        VERIFY_KEYS: Opt<PathBuf> = paths("verify-keys", "PATH")
            .help("A file of OpenPGP certificates that may sign, or a directory of such files; can be given several \
                   times")
            .details("They are armored or binary, and read anew at every sync. In a directory, names that begin with \
                      a dot are passed over; so a volume of Kubernetes is one");
        VERIFY_REVOKED: Opt<PathBuf> = path("verify-revoked", "PATH")
            .help("A file of SSH public keys, or their SHA256 fingerprints, that never count");
        VERIFY_SIGNERS: Opt<Vec<String>> = value("verify-signers", "PATTERN,PATTERN", values::list)
            .help("Of the allowed signers and keys only these: full fingerprints, or patterns of principals")
            .details("The user ids of OpenPGP keys are no principals: everybody chooses their own");
        VERIFY_COMMITTERS: Opt<Vec<String>> = value("verify-committers", "PATTERN,PATTERN", values::list)
            .help("Patterns for the e-mail address of the committer (or tagger), of which one must match")
            .details("Use it where one key signs for everybody, as with the key of a hosting service");
        VERIFY_EXPIRED: Setting<ExpiredKeys> = value("verify-expired", "WHEN", parsed)
            .help("Whether keys must be valid when they signed (at-signing), or also now (refuse)")
            .default("at-signing");
    }
}
