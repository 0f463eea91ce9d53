//! References that are chosen: by version, or by name.

use crate::support::*;

fn choose<'a>(env: &Env, url: &str, options: impl IntoIterator<Item = &'a str>) -> Syncline {
    options.into_iter().fold(env.syncline(url), Syncline::arg)
}

/// Every kind of server, and the options that it needs.
fn servers(env: &Env, repo: &Repo, check: impl Fn(&str, &dyn Fn() -> Syncline)) {
    let (nginx, daemon, sshd) =
        (Nginx::start(&env.path("")), GitDaemon::start(&env.path("")), Sshd::start(env));
    let old = Meddler::start(daemon.port(), Trouble::Old);
    sshd.authorized_key();
    let urls =
        [nginx.url("up/.git"), nginx.url("v0/up/.git"), daemon.url("up/.git"), old.url("git", "up/.git")];
    for url in urls.iter().map(String::as_str).chain([repo.url()]) {
        check(url, &|| env.syncline(url));
    }
    let url = sshd.url(&repo.path);
    check(&url, &|| sshd.syncline(env, &url));
}

#[test]
fn all_servers_let_the_same_tag_be_chosen() {
    let env = Env::new();
    let repo = env.repo("up");
    let old = repo.head();
    repo.tag_ten_thousand(&old);
    let (minor, major, scoped) = (repo.commit(&[]), repo.commit(&[]), repo.commit(&[]));
    let prerelease = repo.commit(&[]);
    repo.tag_all(
        [
            ("v3.1.10", &minor),
            ("v003.1.99", &old),
            ("v9.99.10", &major),
            ("app1/v1.2.3", &scoped),
            ("v10.0.0-rc.1", &prerelease),
            ("nightly-20260228", &old),
            ("nightly-20260301", &scoped),
        ]
        .map(|(name, commit)| (name.to_owned(), commit.clone())),
    );
    repo.git(&["tag", "v3.1.11-light", &prerelease]);
    repo.git(&["tag", "--annotate", "--message=x", "v3.0.11-nested", "v3.1.10"]);
    for (number, commit) in [("9", &old), ("10", &minor)] {
        repo.git(&["update-ref", &format!("refs/changes/34/1234/{number}"), commit]);
    }
    let meta = repo.git(&["hash-object", "-w", "-t", "tree", "/dev/null"]);
    repo.git(&["update-ref", "refs/changes/34/1234/meta", &meta]);
    servers(&env, &repo, |url, syncline| {
        for (options, commit) in [
            ("--ref-semver=~3.1", &minor),
            ("--ref-semver=3.1.11-light", &prerelease),
            ("--ref-semver=3.0.11-nested", &minor),
            ("--ref-semver=*", &major),
            ("--ref-semver=*-0", &prerelease),
            ("--ref-semver=>=0.5 <9.99.4", &old),
            ("--ref-semver=* --ref-tag-prefix=app1/", &scoped),
            ("--ref-semver=*-0 --ref-match=v3.1.*", &prerelease),
            ("--ref-match=nightly-* --ref-order=name", &scoped),
            ("--ref-match=refs/changes/34/1234/*", &minor),
        ] {
            let each = options.trim_start_matches("--").split(" --").map(|option| format!("--{option}"));
            each.fold(syncline(), Syncline::arg).sync();
            assert_eq!(env.published().as_ref(), Some(commit), "{options} at {url}");
        }
    });
    env.assert_store_is_sound();
}

#[test]
fn a_poll_lists_only_tags_that_may_be_in_the_range() {
    let env = Env::new();
    let repo = env.repo("up");
    repo.tag_ten_thousand(&repo.head());
    let (nginx, daemon, sshd) =
        (Nginx::start(&env.path("")), GitDaemon::start(&env.path("")), Sshd::start(&env));
    sshd.authorized_key();
    let ports = [nginx.port(), daemon.port(), sshd.port()];
    let [http, git, ssh] = ports.map(|port| Meddler::start(port, Trouble::None));
    let at_ssh = ssh.url("ssh", &repo.url()[1..]).replace("//", &format!("//{}@", user()));
    for (meddler, syncline) in [
        (&http, env.syncline(http.url("http", "up/.git"))),
        (&git, env.syncline(git.url("git", "up/.git"))),
        (&ssh, sshd.syncline(&env, at_ssh).arg("--ssh-known-hosts=false")),
    ] {
        let running = syncline.arg("--ref-semver=~3.1").arg("--period=10ms").arg("-v1").spawn();
        running.wait_for("nothing new");
        let (polls, before) = (running.log().matches("nothing new").count(), meddler.received());
        running.wait_for_more("nothing new", 10);
        let bytes = meddler.received() - before;
        // The answer to one more may have come before it is in the log.
        let polls = running.log().matches("nothing new").count() - polls + 1;
        assert!((10_000..polls * 4096).contains(&bytes), "{bytes} bytes in {polls} polls: {}", running.log());
    }
}

#[test]
fn a_tag_that_moves_or_goes_is_followed() {
    let env = Env::new();
    let repo = env.repo("up");
    let commits = [repo.head(), repo.commit(&[("file", "2")]), repo.commit(&[("file", "3")])];
    repo.git(&["tag", "v1.0.0", &commits[0]]);
    let running = choose(&env, repo.url(), ["--ref-semver=^1", "--period=20ms"]).spawn();
    let shows = |commit: &String| {
        eventually("publication", || (env.published().as_ref() == Some(commit)).then_some(()))
    };
    shows(&commits[0]);
    repo.git(&["tag", "--annotate", "--message=x", "v1.1.0", &commits[1]]);
    shows(&commits[1]);
    repo.git(&["tag", "--force", "v1.1.0", &commits[2]]);
    shows(&commits[2]);
    repo.git(&["tag", "v2.0.0", &commits[1]]); // out of the range
    repo.git(&["tag", "--delete", "v1.1.0"]);
    shows(&commits[0]);
    repo.git(&["tag", "--delete", "v1.0.0"]);
    running.wait_for("the only tag is not in \\\"^1\\\"; the highest is v2.0.0");
    shows(&commits[0]);
}

#[test]
fn a_branch_is_chosen_among_those_that_begin_like_the_one_that_it_must_be_on() {
    let env = Env::new();
    let repo = crate::rules::upstream(&env);
    let commit = repo.head();
    repo.git(&["branch", "release-10"]);
    repo.commit(&[("file", "later")]);
    repo.git(&["branch", "release-1"]);
    crate::references::sources(&env, |url| {
        for on in ["release-1", "release-10"] {
            choose(&env, url, ["--ref-match=refs/heads/release-*", &format!("--ref-on={on}")]).sync();
            assert_eq!(env.published().as_ref(), Some(&commit), "{on} of {url}");
        }
    });
}

#[test]
fn what_cannot_be_chosen_is_said_in_words() {
    let env = Env::new();
    let repo = env.repo("up");
    env.syncline(repo.url()).sync();
    let fault_of = |url: &str, options: &[&str]| fault(&choose(&env, url, options.iter().copied()).fail());
    let nginx = Nginx::start(&env.path(""));
    for url in [repo.url().to_owned(), nginx.url("up/.git")] {
        repo.git(&["tag", "--force", "v1.9.3"]);
        repo.git(&["tag", "--force", "latest"]);
        for (options, words) in [
            (&["--ref-semver=>=2 <3"][..], "none of 2 tags is in \">=2 <3\"; nearest below is v1.9.3"),
            (&["--ref-semver=*", "--ref-tag-prefix=app1/"], "no tag begins with \"app1/\""),
            (&["--ref-semver=*", "--ref-match=l*"], "the only tag is not a version, such as latest"),
            (&["--ref-match=refs/heads/x*"], "no reference is like refs/heads/x*"),
        ] {
            let fault = fault_of(&url, options);
            assert!(fault.contains(words) && fault.contains(&url), "{fault}");
        }
    }
    env.assert_published(&repo, &repo.head());
}

#[test]
fn a_pull_request_is_synced_by_its_full_name() {
    let env = Env::new();
    let repo = env.repo("up");
    let main = repo.head();
    let commit = repo.commit(&[("file", "proposed")]);
    repo.git(&["update-ref", "refs/pull/42/head", &commit]);
    repo.git(&["reset", "--quiet", "--hard", &main]);
    servers(&env, &repo, |url, syncline| {
        syncline().arg("--ref=refs/pull/42/head").sync();
        assert_eq!(env.published().as_ref(), Some(&commit), "{url}");
        syncline().arg("--ref=refs/pull/42/heads").fail();
    });
}
