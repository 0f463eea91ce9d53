//! What a hook says: by its headers who sent it, and by the shape of its body which references moved. Nothing in it is
//! believed: it only starts a look. Every field may be missing or of any type.

use axum::http::HeaderMap;
use serde_json::Value;
use sync_core::CommitId;

/// Who sends hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    Github,
    Gitlab,
    Gitea,
    Forgejo,
    Gogs,
    Bitbucket,
    Azure,
    Codecommit,
    Gerrit,
    Cloudevents,
    Other,
}

/// What a hook says.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub news: News,
    /// The repository, under all names that it is given.
    pub repositories: Vec<Named>,
    /// By its short or full name.
    pub default_branch: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// The sender tries whether somebody listens.
    Ping,
    /// Something that moves no reference.
    Other,
    Changes(Vec<Change>),
    /// It cannot be told.
    Unclear,
}

/// A reference that moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The full name.
    pub reference: String,
    pub commit: Option<CommitId>,
    pub is_deletion: bool,
}

/// How a repository is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    Url(String),
    /// The end of the path.
    Project(String),
}

/// How deep JSON may be nested.
const DEEPEST: usize = 32;

impl Sender {
    pub fn as_str(self) -> &'static str {
        match self {
            Sender::Github => "github",
            Sender::Gitlab => "gitlab",
            Sender::Gitea => "gitea",
            Sender::Forgejo => "forgejo",
            Sender::Gogs => "gogs",
            Sender::Bitbucket => "bitbucket",
            Sender::Azure => "azure",
            Sender::Codecommit => "codecommit",
            Sender::Gerrit => "gerrit",
            Sender::Cloudevents => "cloudevents",
            Sender::Other => "other",
        }
    }

    /// By its headers, and the event that they name. Those that imitate others send the others' headers, too.
    pub fn of(headers: &HeaderMap) -> (Sender, Option<&str>) {
        let known = [
            (Sender::Forgejo, "x-forgejo-event"),
            (Sender::Gitea, "x-gitea-event"),
            (Sender::Gogs, "x-gogs-event"),
            (Sender::Github, "x-github-event"),
            (Sender::Gitlab, "x-gitlab-event"),
            (Sender::Bitbucket, "x-event-key"),
            (Sender::Cloudevents, "ce-type"),
        ];
        let found = known.iter().find_map(|(sender, header)| Some((*sender, headers.get(*header)?)));
        found.map_or((Sender::Other, None), |(sender, event)| (sender, event.to_str().ok()))
    }
}

/// What a hook says. Without a body, or with one that is too long or no JSON, only its headers do.
pub fn read(headers: &HeaderMap, body: Option<&[u8]>) -> (Sender, Report) {
    let (sender, event) = Sender::of(headers);
    let body = body.filter(|body| is_flat(body)).and_then(|body| serde_json::from_slice(body).ok());
    let body: Value = body.unwrap_or_default();
    // Amazon's SNS has the event as a text.
    let inner = text(&body, "/Message").filter(|inner| is_flat(inner.as_bytes()));
    let body = inner.and_then(|inner| serde_json::from_str(inner).ok()).unwrap_or(body);
    let sender = if sender == Sender::Other { by_shape(&body) } else { sender };
    let news = by_event(sender, event, &body).unwrap_or_else(|| changes(&body));
    let default_branch =
        ["/repository/default_branch", "/project/default_branch", "/resource/repository/defaultBranch"];
    let default_branch = default_branch.iter().find_map(|path| text(&body, path)).map(ToOwned::to_owned);
    (sender, Report { news, repositories: repositories(&body), default_branch })
}

/// Whether a text, if it is JSON, is nested no deeper than is allowed.
fn is_flat(json: &[u8]) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    json.iter().all(|byte| {
        match (in_text, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_text = !in_text,
            (false, b'[' | b'{') => depth += 1,
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth <= DEEPEST
    })
}

fn by_shape(body: &Value) -> Sender {
    if text(body, "/publisherId").is_some() && text(body, "/eventType").is_some() {
        Sender::Azure
    } else if text(body, "/detail-type").is_some() {
        Sender::Codecommit
    } else if text(body, "/refUpdate/refName").is_some() {
        Sender::Gerrit
    } else {
        Sender::Other
    }
}

/// What the event says without more; `None` if it is one that moves references.
fn by_event(sender: Sender, event: Option<&str>, body: &Value) -> Option<News> {
    let event = match (sender, event) {
        (Sender::Gitlab, Some("System Hook")) => text(body, "/event_name"),
        (Sender::Azure, None) => text(body, "/eventType"),
        (Sender::Codecommit, None) => text(body, "/detail-type"),
        (Sender::Gerrit, None) => text(body, "/type"),
        (_, event) => event,
    };
    let Some(event) = event else {
        // A subscription of Amazon's SNS that wants to be confirmed; the URL in it is not asked.
        return text(body, "/SubscribeURL").map(|_| News::Other);
    };
    let moves = match sender {
        Sender::Gitlab => ["Push Hook", "Tag Push Hook", "push", "tag_push"].contains(&event),
        Sender::Bitbucket => ["repo:push", "repo:refs_changed", "mirror:repo_synchronized"].contains(&event),
        Sender::Azure => event == "git.push",
        Sender::Codecommit => event == "CodeCommit Repository State Change",
        Sender::Gerrit => event == "ref-updated",
        Sender::Cloudevents => event.contains(".change.merged.") || event.contains(".repository.modified."),
        _ => ["push", "delete"].contains(&event),
    };
    match event {
        "ping" | "diagnostics:ping" => Some(News::Ping),
        "delete" if moves => Some(deletion(body)),
        _ if !moves => Some(News::Other),
        _ => None,
    }
}

/// An event that has short names.
fn deletion(body: &Value) -> News {
    let kind = if text(body, "/ref_type") == Some("tag") { "tags" } else { "heads" };
    match text(body, "/ref") {
        Some(name) => {
            let reference = full_name(name, kind);
            News::Changes(vec![Change { reference, commit: None, is_deletion: true }])
        }
        None => News::Unclear,
    }
}

/// What moved, by the shape of the body.
fn changes(body: &Value) -> News {
    let all = |path: &str, read: fn(&Value) -> Option<Change>| {
        let list = body.pointer(path)?.as_array()?;
        // What cannot be read may concern us.
        list.iter().map(read).collect::<Option<Vec<Change>>>()
    };
    let found = all("/push/changes", of_bitbucket_cloud)
        .or_else(|| all("/changes", of_bitbucket_server))
        .or_else(|| all("/resource/refUpdates", of_azure))
        .or_else(|| of_codecommit(body).map(|change| vec![change]))
        .or_else(|| of_gerrit(body).map(|change| vec![change]))
        .or_else(|| of_github(body).map(|change| vec![change]));
    found.map_or(News::Unclear, News::Changes)
}

/// GitHub's, GitLab's, Gitea's, Forgejo's and Gogs'. Of an annotated tag, `after` is not the commit.
fn of_github(body: &Value) -> Option<Change> {
    let reference = text(body, "/ref")?.to_owned();
    let after = text(body, "/after").or(text(body, "/checkout_sha"));
    let is_deletion =
        body.pointer("/deleted").and_then(Value::as_bool).unwrap_or(false) || after.is_some_and(is_zero);
    let commit = match reference.starts_with("refs/tags/") {
        true => text(body, "/checkout_sha").or(text(body, "/head_commit/id")),
        false => after,
    };
    Some(Change { reference: full_name(&reference, "heads"), commit: id(commit), is_deletion })
}

fn of_bitbucket_cloud(change: &Value) -> Option<Change> {
    let is_deletion = change.get("new")?.is_null();
    let side = change.get(if is_deletion { "old" } else { "new" })?;
    let kind = if text(side, "/type")? == "tag" { "tags" } else { "heads" };
    let commit = if is_deletion { None } else { id(text(side, "/target/hash")) };
    Some(Change { reference: full_name(text(side, "/name")?, kind), commit, is_deletion })
}

fn of_bitbucket_server(change: &Value) -> Option<Change> {
    let reference = text(change, "/ref/id")?.to_owned();
    let commit = text(change, "/toHash").filter(|_| !reference.starts_with("refs/tags/"));
    let is_deletion = text(change, "/type") == Some("DELETE");
    Some(Change { reference, commit: id(commit), is_deletion })
}

fn of_azure(change: &Value) -> Option<Change> {
    let reference = text(change, "/name")?.to_owned();
    let new = text(change, "/newObjectId");
    let commit = new.filter(|_| !reference.starts_with("refs/tags/"));
    Some(Change { reference, commit: id(commit), is_deletion: new.is_some_and(is_zero) })
}

fn of_codecommit(body: &Value) -> Option<Change> {
    let reference = text(body, "/detail/referenceFullName")?.to_owned();
    let is_deletion = text(body, "/detail/event") == Some("referenceDeleted");
    Some(Change { reference, commit: id(text(body, "/detail/commitId")), is_deletion })
}

fn of_gerrit(body: &Value) -> Option<Change> {
    let new = text(body, "/refUpdate/newRev");
    let reference = full_name(text(body, "/refUpdate/refName")?, "heads");
    Some(Change { reference, commit: id(new), is_deletion: new.is_some_and(is_zero) })
}

/// All names of the repository that the known shapes have.
fn repositories(body: &Value) -> Vec<Named> {
    const URLS: [&str; 12] = [
        "/repository/clone_url",
        "/repository/ssh_url",
        "/repository/git_url",
        "/repository/html_url",
        "/repository/git_http_url",
        "/repository/git_ssh_url",
        "/repository/links/html/href",
        "/project/git_http_url",
        "/project/git_ssh_url",
        "/project/web_url",
        "/resource/repository/remoteUrl",
        "/resource/repository/sshUrl",
    ];
    let clones = body.pointer("/repository/links/clone").and_then(Value::as_array);
    let clones = clones.into_iter().flatten().filter_map(|link| text(link, "/href"));
    let urls = URLS.iter().filter_map(|path| text(body, path)).chain(clones);
    let codecommit = text(body, "/detail/repositoryName").zip(text(body, "/region"));
    let codecommit = codecommit
        .map(|(name, region)| format!("https://git-codecommit.{region}.amazonaws.com/v1/repos/{name}"));
    let projects = text(body, "/refUpdate/project").map(|project| Named::Project(project.to_owned()));
    urls.map(ToOwned::to_owned).chain(codecommit).map(Named::Url).chain(projects).collect()
}

fn text<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    value.pointer(path)?.as_str()
}

fn full_name(name: &str, kind: &str) -> String {
    if name.starts_with("refs/") { name.to_owned() } else { format!("refs/{kind}/{name}") }
}

fn is_zero(id: &str) -> bool {
    id.len() >= 40 && id.bytes().all(|byte| byte == b'0')
}

fn id(text: Option<&str>) -> Option<CommitId> {
    text.filter(|text| !is_zero(text)).and_then(|text| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_with(headers: &[(&'static str, &'static str)], body: &[u8]) -> (Sender, Report) {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        read(&headers.collect(), Some(body))
    }

    #[test]
    fn no_shape_is_an_error() {
        for body in [
            "",
            "nonsense",
            "null",
            "[]",
            "\"\"",
            "{}",
            r#"{"ref":1,"after":[]}"#,
            r#"{"ref":["refs/heads/main"]}"#,
            r#"{"ref":null}"#,
            r#"{"push":{"changes":[{}]}}"#,
            r#"{"push":{"changes":[{"new":{"type":1}}]}}"#,
            r#"{"push":{"changes":{"0":1}}}"#,
            r#"{"changes":"x"}"#,
            r#"{"changes":[null]}"#,
            r#"{"resource":{"refUpdates":[[]]}}"#,
            r#"{"repository":{"links":{"clone":{}}}}"#,
            r#"{"repository":{"links":{"clone":[{"href":{}},1,null]}}}"#,
            r#"{"repository":[]}"#,
            "{\"ref\":\"refs/heads/\u{0}\"",
            r#"{"Message":"{\"Message\":\"{}\"}"}"#,
        ] {
            let (_, report) = read_with(&[("x-github-event", "push")], body.as_bytes());
            assert_eq!(report.news, News::Unclear, "{body}");
            assert!(report.repositories.is_empty(), "{body}");
        }
        for body in [r#"{"changes":[]}"#, r#"{"push":{"changes":[]}}"#, r#"{"resource":{"refUpdates":[]}}"#] {
            assert_eq!(read_with(&[], body.as_bytes()).1.news, News::Changes(Vec::new()), "{body}");
        }
        assert_eq!(read_with(&[], b"{\"ref\":\"\xff\"}").1.news, News::Unclear);
    }

    #[test]
    fn json_is_read_to_a_depth() {
        let nested = |depth: usize| {
            let body =
                format!(r#"{{"ref":"refs/heads/x","more":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
            read_with(&[], body.as_bytes()).1.news
        };
        assert!(matches!(nested(DEEPEST - 1), News::Changes(_)));
        assert_eq!(nested(DEEPEST), News::Unclear);
        assert_eq!(nested(100_000), News::Unclear);
        let text = format!(r#"{{"ref":"refs/heads/\"{}"}}"#, "[".repeat(100));
        assert!(matches!(read_with(&[], text.as_bytes()).1.news, News::Changes(_)), "brackets in a text");
    }

    #[test]
    fn events_that_move_nothing_are_known_by_their_names() {
        for (header, event, news) in [
            ("x-github-event", "ping", News::Ping),
            ("x-github-event", "issues", News::Other),
            ("x-github-event", "create", News::Other),
            ("x-gitlab-event", "Issue Hook", News::Other),
            ("x-gitlab-event", "System Hook", News::Unclear),
            ("x-event-key", "diagnostics:ping", News::Ping),
            ("x-event-key", "repo:fork", News::Other),
            ("ce-type", "dev.cdevents.change.merged.0.2.0", News::Unclear),
            ("ce-type", "dev.cdevents.build.started.0.2.0", News::Other),
            ("x-other", "x", News::Unclear),
        ] {
            assert_eq!(read_with(&[(header, event)], b"{}").1.news, news, "{event}");
        }
        let system = br#"{"event_name":"project_create"}"#;
        assert_eq!(read_with(&[("x-gitlab-event", "System Hook")], system).1.news, News::Other);
        let confirm = br#"{"Type":"SubscriptionConfirmation","SubscribeURL":"https://evil/"}"#;
        assert_eq!(read_with(&[], confirm).1.news, News::Other);
    }
}
