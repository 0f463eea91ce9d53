//! Every option, once: its names, its type, its default, whether it may hold a secret, and its help. Parsing, `--help`,
//! the manual, the completions and the checks of the documents all follow from this table.
//!
//! To add an option, add a row to the file of its topic and read it in `config` with an `OptionReader`. If it is not one
//! of a repository, the row says so with `of`.

pub mod choices;
mod connect;
mod deprecated;
pub mod git_variables;
pub mod hints;
mod hooks;
mod lfs;
mod login;
mod many;
mod monitoring;
mod publishing;
mod receive;
mod relay;
mod row;
mod rules;
mod schedule;
mod signatures;
mod source;
mod table;
pub mod values;

pub use choices::{
    FileReuse, Fsync, GitGc, GiveUp, Grant, Incomplete, LogFormat, Publish, RefOrder, RelayRole, Removed,
};
pub use connect::*;
pub use deprecated::*;
pub use hooks::*;
pub use lfs::*;
pub use login::*;
pub use many::*;
pub use monitoring::*;
pub use publishing::*;
pub use receive::*;
pub use relay::*;
pub use row::{Kind, Row, Scope};
pub use rules::*;
pub use schedule::*;
pub use signatures::*;
pub use source::*;
pub use table::{Opt, Setting};

use table::Table;
use {
    connect::TABLE as CONNECT, deprecated::TABLE as DEPRECATED, hooks::TABLE as HOOKS,
    lfs::TABLE as LFS_OPTIONS, login::TABLE as LOGIN, many::TABLE as MANY, monitoring::TABLE as MONITORING,
    publishing::TABLE as PUBLISHING, receive::TABLE as RECEIVE, relay::TABLE as RELAY, rules::TABLE as RULES,
    schedule::TABLE as SCHEDULE, signatures::TABLE as SIGNATURES, source::TABLE as SOURCE,
};

/// The rows of all options. Topics come in the order of the help.
pub fn options() -> impl Iterator<Item = &'static Row> {
    tables().map(|option| option.erased())
}

fn tables() -> impl Iterator<Item = &'static dyn table::Entry> {
    let tables: [&'static Table; 14] = [
        SOURCE,
        LFS_OPTIONS,
        RULES,
        SIGNATURES,
        PUBLISHING,
        SCHEDULE,
        LOGIN,
        CONNECT,
        RELAY,
        HOOKS,
        RECEIVE,
        MONITORING,
        MANY,
        DEPRECATED,
    ];
    tables.into_iter().flat_map(|table| table.iter().copied())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_default_is_a_value_that_its_option_accepts() {
        for option in tables() {
            assert_eq!(option.check_default(), Ok(()), "--{}", option.erased().name);
        }
    }

    #[test]
    fn no_two_options_share_a_name() {
        let mut names = BTreeSet::new();
        for row in options() {
            let all = row.names().map(ToOwned::to_owned).chain(row.variables());
            for name in all {
                assert!(names.insert(name.clone()), "{name}");
            }
        }
    }
}
