//! Names that are not options but look like one.

use super::*;

/// Names that people know from other programs, and the options they mean.
static LIKELY: [(&str, &Row); 31] = [
    ("branch", REF.row()),
    ("tag", REF.row()),
    ("rev", REF.row()),
    ("revision", REF.row()),
    ("commit", REF.row()),
    ("url", REPO.row()),
    ("repository", REPO.row()),
    ("repo-url", REPO.row()),
    ("dest", LINK.row()),
    ("dir", ROOT.row()),
    ("target", ROOT.row()),
    ("path", ROOT.row()),
    ("wait", PERIOD.row()),
    ("interval", PERIOD.row()),
    ("timeout", SYNC_TIMEOUT.row()),
    ("once", ONE_TIME.row()),
    ("user", USERNAME.row()),
    ("pass", PASSWORD.row()),
    ("token", BEARER_TOKEN.row()),
    ("token-file", BEARER_TOKEN_FILE.row()),
    ("ssh-key", SSH_KEY_FILE.row()),
    ("ssh-key-path", SSH_KEY_FILE.row()),
    ("known-hosts", SSH_KNOWN_HOSTS_FILE.row()),
    ("max-sync-failures", MAX_FAILURES.row()),
    ("retries", MAX_FAILURES.row()),
    ("hook-command", EXECHOOK_COMMAND.row()),
    ("sync-hook-command", EXECHOOK_COMMAND.row()),
    ("log-level", VERBOSE.row()),
    ("ca-cert", CA_FILE.row()),
    ("cacert", CA_FILE.row()),
    ("proxy", ALL_PROXY.row()),
];

/// The option that may be meant by a name without its dashes.
pub fn meant(name: &str) -> Option<&'static Row> {
    if let Some((_, meant)) = LIKELY.iter().find(|(known, _)| *known == name) {
        return Some(meant);
    }
    let current = || options().filter(|option| option.is_current());
    let close = closest(name, current().map(|option| option.name))?;
    current().find(|option| option.name == close)
}

/// Of several names the one that is most like this one, if it is like it at all.
pub fn closest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, close) = known.map(|known| (distance(name, known), known)).min_by_key(|(far, _)| *far)?;
    (distance <= (name.len() / 2).min(2)).then_some(close)
}

/// Warnings about variables that begin as ours do but are none.
pub fn strays<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut strays: Vec<String> = names.into_iter().filter_map(stray).collect();
    strays.sort();
    strays
}

fn stray(name: &str) -> Option<String> {
    let is_ours = |rest: &str| options().any(|option| option.names().any(|name| name == kebab(rest)));
    let rest = match name.strip_prefix("GITSYNC_").or_else(|| name.strip_prefix("GIT_SYNC_")) {
        Some(rest) => rest,
        None => name.strip_prefix("SYNCLINE_").filter(|rest| is_ours(rest))?,
    };
    // git-sync and syncline set it for their hooks.
    let is_told = rest == "HASH";
    // Kubernetes sets them in every container for the services around it.
    let is_service = rest.contains("SERVICE_") || rest.split('_').any(|part| part == "PORT");
    let is_known = || options().any(|option| option.variables().iter().any(|known| known == name));
    if is_told || is_service || is_known() {
        return None;
    }
    let hint = meant(&kebab(rest)).map(|option| format!("; did you mean {}?", option.variables()[0]));
    Some(format!("{name}: there is no such option{}", hint.unwrap_or_default()))
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
            let expected = format!("{name}: there is no such option{hint}");
            assert_eq!(strays([name]), [expected]);
        }
    }

    #[test]
    fn names_of_ours_and_of_others_get_none() {
        let known = Vec::from_iter(options().flat_map(Row::variables));
        let others = [
            "GITSYNC_HASH",
            "GIT_SYNC_SERVICE_HOST",
            "GITSYNC_SERVICE_PORT_HTTP",
            "GITSYNC_PORT_80_TCP_ADDR",
            "SYNCLINE_HOME",
            "GIT_SSH_COMMAND",
            "HOME",
        ];
        assert_eq!(strays(known.iter().map(String::as_str).chain(others)), [""; 0]);
    }

    #[test]
    fn likely_names_lead_to_current_options() {
        for (name, option) in LIKELY {
            assert!(option.is_current(), "{name}");
        }
    }
}
