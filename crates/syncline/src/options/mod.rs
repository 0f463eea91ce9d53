//! Every option, once: its name, its twins in the environment, and its help. The command line, the help, the
//! manual and the tests are made from this table.

mod connect;
pub mod git;
pub mod hints;
pub mod older;
mod sync;
mod tell;

/// One option.
pub struct Opt {
    pub name: &'static str,
    pub kind: Kind,
    pub topic: &'static str,
    /// As the help shows it; empty where there is none.
    pub default: &'static str,
    /// Names in the environment besides `GITSYNC_NAME`, the newest first: the last that is set wins. But what is
    /// everybody's gives way to `GITSYNC_NAME`.
    pub aliases: &'static [&'static str],
    pub help: &'static str,
}

/// What an option takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A value; of a repeated option the last counts.
    Value(&'static str),
    /// `--name`, `--name=true` or `--name=false`.
    Switch,
    /// A value each time.
    List(&'static str),
    /// A value that comes only from the environment: it would show in the list of processes.
    Secret,
    /// An older name, still heeded; says what to use today.
    Deprecated(&'static str),
    /// Accepted for git-sync's sake; says why it does nothing.
    Ignored(&'static str),
}

impl Opt {
    /// All names in the environment, the newest first.
    pub fn variables(&self) -> Vec<String> {
        // The older names have no twin of today's form.
        let own =
            (!matches!(self.kind, Kind::Deprecated(_))).then(|| format!("GITSYNC_{}", self.upper_name()));
        own.into_iter().chain(self.aliases.iter().map(ToString::to_string)).collect()
    }

    /// The same in the order in which they win.
    pub fn variables_by_rank(&self) -> Vec<String> {
        let mut names = self.variables();
        names.reverse();
        names.sort_by_key(|name| is_everybodys(name) || name == "GIT_REPO");
        names
    }

    fn upper_name(&self) -> String {
        self.name.replace('-', "_").to_uppercase()
    }

    /// The names in the environment whose value may hold a secret: hooks do not get to see them. What is everybody's
    /// stays, since hooks need it too.
    pub fn secret_variables(&self) -> Vec<String> {
        let mut names = self.variables();
        names.retain(|name| self.may_hold_secrets() && !is_everybodys(name));
        names
    }

    fn may_hold_secrets(&self) -> bool {
        const NAMES: [&str; 13] = [
            "all-proxy",
            "askpass-url",
            "credential",
            "git-config",
            "git-config-add",
            "http-proxy",
            "https-proxy",
            "oauth-parameter",
            "oauth-token-url",
            "repo",
            "ssh-proxy",
            // Some servers take a token in its place.
            "username",
            "webhook-url",
        ];
        self.kind == Kind::Secret || NAMES.contains(&self.name)
    }

    /// Whether help and manual show it.
    pub fn is_current(&self) -> bool {
        !matches!(self.kind, Kind::Deprecated(_))
    }
}

/// Whether a name in the environment is other programs', too.
fn is_everybodys(variable: &str) -> bool {
    !variable.starts_with("GIT")
}

const WHAT: &str = "What to sync";
const WHERE: &str = "Where to publish";
const WHEN: &str = "When to sync";
const LOGIN: &str = "How to log in";
const CONNECT: &str = "How to connect";
const HOOKS: &str = "Whom to tell";
const WATCH: &str = "How to watch it";
const OLD: &str = "Older names";

const fn value(
    topic: &'static str,
    name: &'static str,
    form: &'static str,
    default: &'static str,
    aliases: &'static [&'static str],
    help: &'static str,
) -> Opt {
    Opt { name, kind: Kind::Value(form), topic, default, aliases, help }
}

const fn switch(
    topic: &'static str,
    name: &'static str,
    default: &'static str,
    aliases: &'static [&'static str],
    help: &'static str,
) -> Opt {
    Opt { name, kind: Kind::Switch, topic, default, aliases, help }
}

const fn list(topic: &'static str, name: &'static str, form: &'static str, help: &'static str) -> Opt {
    Opt { name, kind: Kind::List(form), topic, default: "", aliases: &[], help }
}

const fn secret(name: &'static str, aliases: &'static [&'static str], help: &'static str) -> Opt {
    Opt { name, kind: Kind::Secret, topic: LOGIN, default: "", aliases, help }
}

const fn old(name: &'static str, aliases: &'static [&'static str], instead: &'static str) -> Opt {
    Opt { name, kind: Kind::Deprecated(instead), topic: OLD, default: "", aliases, help: instead }
}

/// The table. Topics come in the order of the help.
pub fn options() -> impl Iterator<Item = &'static Opt> {
    [sync::OPTIONS, connect::OPTIONS, tell::OPTIONS].into_iter().flatten()
}
