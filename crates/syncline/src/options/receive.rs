//! Push hooks: a sync as soon as the server says that something was pushed.

use std::path::PathBuf;
use std::time::Duration;

use super::table::{Opt, Setting, options, paths, secret, switch, text, texts, value};
use super::{Scope, values};

options! {
    "Push hooks" {
        RECEIVE_BIND: Opt<String> = value("receive-bind", "ADDRESS", values::bind_address)
            .of(Scope::Process)
            .help("Take push hooks of Git servers over HTTP at this address and port, such as :8081, and sync at once")
            .details("Polling goes on, since hooks get lost");
        RECEIVE_PATH: Setting<String> = value("receive-path", "PATH", values::url_path)
            .of(Scope::Process)
            .help("The path that hooks are sent to; with --config also PATH/NAME, for one repository")
            .default("/push");
        RECEIVE_SECRET_FILE: Opt<PathBuf> = paths("receive-secret-file", "PATH")
            .of(Scope::Process)
            .help("A file whose first line is the secret of the hooks, at least 16 bytes; may be repeated: any of them \
                   counts")
            .details("It is read again when it changes");
        RECEIVE_SECRET: Opt<String> = secret("receive-secret")
            .of(Scope::Process)
            .help("The secret of the hooks");
        RECEIVE_USER: Opt<String> = text("receive-user", "NAME")
            .of(Scope::Process)
            .otherwise("any")
            .help("The user name of hooks that log in with a name and the secret");
        RECEIVE_ANY_REPO: Setting<bool> = switch("receive-any-repo")
            .help("Let a push to any repository count, as for mirrors whose hooks name another one")
            .default("false");
        RECEIVE_ALIAS: Opt<String> = texts("receive-alias", "URL")
            .may_hold_secrets()
            .help("Another URL by which hooks may name the repository; may be repeated");
        RECEIVE_SPREAD: Setting<Duration> = value("receive-spread", "DURATION", values::up_to_an_hour)
            .help("Wait a random part of this time after a hook, where one hook reaches many processes")
            .default("0s");
        RECEIVE_PERIOD: Setting<Duration> = value("receive-period", "DURATION", values::period)
            .help("How long to wait between polls while hooks work, if that is longer than --period")
            .default("10m");
    }
}
