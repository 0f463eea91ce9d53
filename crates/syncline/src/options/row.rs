//! What is known of an option whatever the type of its value.

/// One option.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Without the dashes.
    pub name: &'static str,
    /// Other names that are accepted for it, each with its own twin in the environment.
    pub aliases: &'static [&'static str],
    /// How it is given.
    pub kind: Kind,
    /// The heading in the help.
    pub topic: &'static str,
    /// As the help shows it; empty if there is none.
    pub default: &'static str,
    /// Names in the environment besides `GITSYNC_NAME`, the newest first: the last that is set wins. But names
    /// that other programs share give way to `GITSYNC_NAME`.
    pub older_variables: &'static [&'static str],
    /// What it is an option of.
    pub scope: Scope,
    /// Whether a value may hold a secret, so that hooks must not see it.
    pub may_hold_secrets: bool,
    /// What it does, in a sentence or two.
    pub help: &'static str,
    /// What the manual says in addition to the help.
    pub details: &'static str,
}

/// How an option is given.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A value; if it is repeated, the last one counts.
    Value(&'static str),
    /// `--name`, `--name=true` or `--name=false`.
    Switch,
    /// A value each time.
    List(&'static str),
    /// A value that comes only from the environment: it would show in the list of processes.
    Secret,
    /// An older name that still works; the option to use today, if there is one, and what to do instead.
    Deprecated(Option<&'static Row>, &'static str),
    /// Accepted for compatibility with git-sync; the reason why it does nothing.
    Ignored(&'static str),
}

/// What an option is an option of, where one process syncs many repositories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A repository: each may have a value of its own.
    Repository,
    /// The process: there is one value for all.
    Process,
    /// Both: the process has a value, and a repository may have another.
    Both,
    /// The start of the process: only the command line and the environment can give it.
    Start,
}

impl Row {
    /// The name and its aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// All names in the environment, the newest first.
    pub fn variables(&self) -> Vec<String> {
        // Deprecated options have no variable of today's form.
        let own = self.names().filter(|_| self.is_current());
        let own = own.map(|name| format!("GITSYNC_{}", name.replace('-', "_").to_uppercase()));
        own.chain(self.older_variables.iter().map(ToString::to_string)).collect()
    }

    /// The same in the order in which they win.
    pub fn variables_by_rank(&self) -> Vec<String> {
        let mut names = self.variables();
        names.reverse();
        names.sort_by_key(|name| is_shared(name) || name == "GIT_REPO");
        names
    }

    /// The names in the environment whose value hooks must not see. Shared names stay, since hooks need them, too.
    pub fn secret_variables(&self) -> Vec<String> {
        let mut names = self.variables();
        names.retain(|name| self.may_hold_secrets && !is_shared(name));
        names
    }

    /// Whether help and manual show it among the options of its topic.
    pub fn is_current(&self) -> bool {
        !matches!(self.kind, Kind::Deprecated(..))
    }

    /// The option to use today: this one, or the one that replaced it. `None` if it does nothing.
    pub fn today(&'static self) -> Option<&'static Row> {
        match self.kind {
            Kind::Ignored(_) => None,
            Kind::Deprecated(today, _) => today,
            _ => Some(self),
        }
    }

    /// What to do today, if it is an older name; otherwise empty.
    pub fn instead(&self) -> String {
        match self.kind {
            Kind::Deprecated(Some(today), _) => format!("Use --{}", today.name),
            Kind::Deprecated(None, why) => why.to_owned(),
            _ => String::new(),
        }
    }

    /// Whether it is an older name of an option.
    pub fn replaces(&self, option: &Row) -> bool {
        matches!(self.kind, Kind::Deprecated(Some(today), _) if today.name == option.name)
    }

    /// Whether each use adds a value.
    pub fn is_list(&self) -> bool {
        matches!(self.kind, Kind::List(_))
    }
}

/// Whether other programs use a variable, too.
fn is_shared(variable: &str) -> bool {
    !variable.starts_with("GIT")
}
