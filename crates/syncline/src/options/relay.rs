//! Getting commits from a relay, or feeding one.

use std::path::PathBuf;
use std::time::Duration;

use super::choices::RelayRole;
use super::table::{Opt, Setting, options, parsed, path, text, value};
use super::values;

options! {
    "Relay" {
        RELAY_URL: Opt<String> = text("relay-url", "URL")
            .help("Get commits from a relay at this URL, or feed one: nats://, tls://, https://, http://, s3:// or file://")
            .details("nats://HOST:PORT/BUCKET, several servers separated by commas; s3://BUCKET/PREFIX?region=R&endpoint=URL. \
                      See docs/fleet.md");
        RELAY_ROLE: Setting<RelayRole> = value("relay-role", "ROLE", parsed)
            .help("follow (get commits from the relay; --repo is needed only for --relay-fallback) or feed (also publish \
                   --repo to the relay)")
            .default("follow");
        RELAY_NAME: Opt<String> = text("relay-name", "NAME")
            .otherwise("the last part of --repo and a digest of it and --ref")
            .help("The name of the repository at the relay: lowercase letters, digits and dashes");
        RELAY_USERNAME: Opt<String> = text("relay-username", "NAME")
            .may_hold_secrets()
            .help("The user name for the relay, or the access key ID for s3");
        RELAY_PASSWORD_FILE: Opt<PathBuf> = path("relay-password-file", "PATH")
            .help("A file whose first line is the password for the relay, or the secret access key for s3; read again for \
                   every connection");
        RELAY_TOKEN_FILE: Opt<PathBuf> = path("relay-token-file", "PATH")
            .help("A file whose first line is a token for the relay, or the session token for s3; read again for every \
                   connection");
        RELAY_KEY_FILE: Opt<PathBuf> = path("relay-key-file", "PATH")
            .help("A PEM file of Ed25519 public keys: follow only what one of them has signed");
        RELAY_SIGN_KEY_FILE: Opt<PathBuf> = path("relay-sign-key-file", "PATH")
            .help("A PEM file with the Ed25519 private key that signs what is fed");
        RELAY_FALLBACK: Opt<Option<Duration>> = value("relay-fallback", "DURATION", values::duration_or_never)
            .otherwise("5m, or never without --repo")
            .help("For how long the relay may be out of reach before --repo is asked, or never");
        RELAY_PERIOD: Opt<Duration> = value("relay-period", "DURATION", values::period)
            .otherwise("1s; 60s for nats and tls, which tell news by themselves")
            .help("How often to ask the relay, in place of --period");
        RELAY_INLINE: Setting<u64> = value("relay-inline", "SIZE", values::size_or_zero)
            .help("The largest change that travels inside the message, up to 128KiB; 0 means none")
            .default("64KiB");
        RELAY_KEEP: Setting<Duration> = value("relay-keep", "DURATION", values::duration)
            .help("How long packs stay at the relay that its tip no longer names, at least 10m")
            .default("1h");
        RELAY_EXPECT: Setting<u64> = value("relay-expect", "N", values::id)
            .help("How many followers there are, so that they spread their requests")
            .default("0");
    }
}
