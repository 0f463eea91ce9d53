//! Names that are no option but look like one.

use super::{Kind, Opt, options};

/// What people call what is called otherwise here.
const LIKELY: [(&str, &str); 31] = [
    ("branch", "ref"),
    ("tag", "ref"),
    ("rev", "ref"),
    ("revision", "ref"),
    ("commit", "ref"),
    ("url", "repo"),
    ("repository", "repo"),
    ("repo-url", "repo"),
    ("dest", "link"),
    ("dir", "root"),
    ("target", "root"),
    ("path", "root"),
    ("wait", "period"),
    ("interval", "period"),
    ("timeout", "sync-timeout"),
    ("once", "one-time"),
    ("user", "username"),
    ("pass", "password"),
    ("token", "bearer-token"),
    ("token-file", "bearer-token-file"),
    ("ssh-key", "ssh-key-file"),
    ("ssh-key-path", "ssh-key-file"),
    ("known-hosts", "ssh-known-hosts-file"),
    ("max-sync-failures", "max-failures"),
    ("retries", "max-failures"),
    ("hook-command", "exechook-command"),
    ("sync-hook-command", "exechook-command"),
    ("log-level", "verbose"),
    ("ca-cert", "ca-file"),
    ("cacert", "ca-file"),
    ("proxy", "all-proxy"),
];

/// The option that may be meant by a name without its dashes.
pub fn meant(name: &str) -> Option<&'static Opt> {
    let likely = LIKELY.iter().find(|(known, _)| *known == name).map(|(_, meant)| *meant);
    if let Some(meant) = likely {
        return options().find(|option| option.name == meant);
    }
    let todays = options().filter(|option| !matches!(option.kind, Kind::Deprecated(_)));
    let close = todays.map(|option| (distance(name, option.name), option));
    let (distance, option) = close.min_by_key(|(distance, _)| *distance)?;
    (distance <= (name.len() / 2).min(2)).then_some(option)
}

/// What is worth saying of the names in the environment: of those that begin as ours do and are none.
pub fn strays(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut strays: Vec<String> = names.into_iter().filter_map(|name| stray(&name)).collect();
    strays.sort();
    strays
}

fn stray(name: &str) -> Option<String> {
    let is_ours = |rest: &str| options().any(|option| option.name == kebab(rest));
    let rest = match name.strip_prefix("GITSYNC_").or_else(|| name.strip_prefix("GIT_SYNC_")) {
        Some(rest) => rest,
        None => name.strip_prefix("SYNCLINE_").filter(|rest| is_ours(rest))?,
    };
    // What git-sync and syncline tell their hooks.
    let is_told = rest == "HASH";
    // Kubernetes tells every container of the services around it.
    let is_service = rest.contains("SERVICE_") || rest.split('_').any(|part| part == "PORT");
    let is_known = || options().any(|option| option.variables().iter().any(|known| known == name));
    if is_told || is_service || is_known() {
        return None;
    }
    let hint = meant(&kebab(rest)).map(|option| format!("; did you mean {}?", option.variables()[0]));
    Some(format!("{name}: no option has this name{}", hint.unwrap_or_default()))
}

fn kebab(variable: &str) -> String {
    variable.to_lowercase().replace('_', "-")
}

/// How many letters have to be added, dropped or replaced.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (at, a) in from.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, b) in to.bytes().enumerate() {
            let least = (diagonal + usize::from(a != b)).min(row[column] + 1).min(row[column + 1] + 1);
            diagonal = std::mem::replace(&mut row[column + 1], least);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_like_an_option_get_a_hint() {
        for (name, hint) in [
            ("GITSYNC_BRANCH", Some("GITSYNC_REF")),
            ("GITSYNC_REV", Some("GITSYNC_REF")),
            ("GITSYNC_URL", Some("GITSYNC_REPO")),
            ("GITSYNC_DEPHT", Some("GITSYNC_DEPTH")),
            ("GITSYNC_PERIODS", Some("GITSYNC_PERIOD")),
            ("GITSYNC_SSH_KEYFILE", Some("GITSYNC_SSH_KEY_FILE")),
            ("GIT_SYNC_FILTER", Some("GITSYNC_FILTER")),
            ("SYNCLINE_REPO", Some("GITSYNC_REPO")),
            ("GITSYNC_NOTHING_LIKE_IT", None),
        ] {
            let hint = hint.map(|hint| format!("; did you mean {hint}?")).unwrap_or_default();
            let expected = format!("{name}: no option has this name{hint}");
            assert_eq!(strays([name.to_owned()]), [expected]);
        }
    }

    #[test]
    fn names_of_ours_and_of_others_get_none() {
        let known = options().flat_map(Opt::variables);
        let others = [
            "GITSYNC_HASH",
            "GIT_SYNC_SERVICE_HOST",
            "GITSYNC_SERVICE_PORT_HTTP",
            "GITSYNC_PORT_80_TCP_ADDR",
            "SYNCLINE_HOME",
            "GIT_SSH_COMMAND",
            "HOME",
        ];
        assert_eq!(strays(known.chain(others.map(ToOwned::to_owned))), [""; 0]);
    }

    #[test]
    fn likely_mistakes_lead_to_options_of_today() {
        for (name, target) in LIKELY {
            let option = meant(name).unwrap_or_else(|| panic!("{name}"));
            assert!(option.name == target && option.is_current(), "{name}");
        }
    }
}
