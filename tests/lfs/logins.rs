//! Each login goes to its own server, and nowhere else.

use std::fs;

use serde_json::json;

use crate::logins::credential;
use crate::support::lfs::*;
use crate::support::*;

/// What was shown with every request of the batch API.
fn shown(server: &LfsServer) -> Vec<String> {
    server.batches().iter().map(|request| header(request, "authorization")).collect()
}

#[test]
fn the_servers_login_counts_for_its_objects() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    let commit = repo.commit(&[("c.bin", "of c\n")]);
    let host = LfsHost::start(&env.path(""));
    host.nginx.admit("Bearer t0ken");
    fs::write(env.path("netrc"), "machine 127.0.0.1 login user password p@ss\n").unwrap();
    fs::write(env.path("password"), "p@ss\n").unwrap();
    let (login, token) = (host.url("login/up/.git"), host.url("token/up/.git"));
    let in_url = login.replace("://", "://user:p%40ss@");
    let netrc = format!("--netrc-file={}", env.path("netrc").display());
    let password = format!("--password-file={}", env.path("password").display());
    let credential = format!("--credential={}", credential(&host.url("login"), "p@ss"));
    let asked = Canned::answer("200 OK", "username=user\npassword=p@ss\n");
    let asking = format!("--askpass-url={}", asked.url("ask"));
    let ways: [(&str, &[&str]); 5] = [
        (&in_url, &[]),
        (&login, &[&netrc]),
        (&login, &["--username=user", &password]),
        (&login, &[&credential]),
        (&login, &[&asking]),
    ];
    let mut before = 0;
    let check = |log: String, scheme: &str, before: &mut usize| {
        env.assert_lfs_published(&repo, &commit);
        // At once: nobody is asked twice.
        let new = shown(&host.lfs).split_off(*before);
        assert!(new.len() == 1 && new[0].starts_with(scheme), "{new:?}: {log}");
        *before += 1;
        assert!(!log.contains("p@ss") && !log.contains("t0ken"), "{log}");
    };
    for (url, options) in ways {
        let _ = fs::remove_dir_all(env.root());
        let finished = options.iter().fold(env.with_lfs(url).arg("-v9"), Syncline::arg).sync();
        check(finished.stderr, "Basic ", &mut before);
    }
    let _ = fs::remove_dir_all(env.root());
    let finished = env.with_lfs(&token).env("GITSYNC_BEARER_TOKEN", "t0ken").arg("-v9").sync();
    check(finished.stderr, "Bearer ", &mut before);
    let refused: Vec<_> = host
        .nginx
        .requests()
        .into_iter()
        .filter(|line| line.contains("/lfs/") && line.contains(" 401 "))
        .collect();
    assert_eq!(refused, [""; 0]);
}

#[test]
fn a_refused_login_is_told_and_another_is_tried_once() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    let (nginx, lfs) = (Nginx::start(&env.path("")), LfsServer::start(&env.path("")));
    let syncline = || {
        let syncline = env.with_lfs(nginx.url("up/.git")).arg("-v9");
        syncline.arg(format!("--lfs-url={}", lfs.endpoint("up/.git")))
    };
    lfs.want(basic("user", "p@ss"));
    let fault = fault(&syncline().fail());
    assert!(fault.contains("401") && fault.contains("Credentials needed"), "{fault}");
    let scope = lfs.url("");
    let log = syncline().arg(format!("--credential={}", credential(&scope, "canary"))).fail();
    assert!(log.contains("401") && !log.contains("canary"), "{log}");
    assert_eq!(env.published(), None);
    syncline().arg(format!("--credential={}", credential(&scope, "p@ss"))).sync();
    env.assert_lfs_published(&repo, &repo.head());

    // Rotated between reading and asking.
    let file = env.path("password");
    fs::write(&file, "old").unwrap();
    repo.commit(&[("a.bin", "new content\n")]);
    let rotated = file.clone();
    lfs.spoil_batches(move |request, answer| {
        fs::write(&rotated, "p@ss").unwrap();
        match header(request, "authorization") == basic("user", "p@ss") {
            true => answer,
            false => Answer::batch("401 Unauthorized", &json!({ "message": "Credentials needed" })),
        }
    });
    let scoped =
        json!({ "url": scope, "username": "user", "password-file": file.to_str().unwrap() }).to_string();
    let log = syncline().arg(format!("--credential={scoped}")).sync().stderr;
    assert!(log.contains("the login was refused: trying another"), "{log}");
    env.assert_lfs_published(&repo, &repo.head());
}

#[test]
fn a_login_goes_to_no_other_server() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    let host = LfsHost::start(&env.path(""));
    let foreign = LfsServer::start(&env.path(""));
    let url = host.url("login/up/.git");
    fs::write(env.path("jar"), crate::login_files::cookie("127.0.0.1", "0", "c00kie")).unwrap();
    // Another port is another server, and so is another name.
    for endpoint in
        [foreign.endpoint("up/.git"), foreign.endpoint("up/.git").replace("127.0.0.1", "localhost")]
    {
        let _ = fs::remove_dir_all(env.root());
        env.with_lfs(&url)
            .arg(format!("--lfs-url={endpoint}"))
            .arg("--username=user")
            .env("GITSYNC_PASSWORD", "p@ss")
            .sync();
        env.assert_lfs_published(&repo, &repo.head());
        let _ = fs::remove_dir_all(env.root());
        let in_url = url.replace("://", "://user:p%40ss@");
        env.with_lfs(&in_url).arg(format!("--lfs-url={endpoint}")).sync();
    }
    for request in foreign.batches().into_iter().chain(foreign.gets()) {
        assert_eq!(header(&request, "authorization"), "", "{request}");
    }
    // But one that is meant for it does.
    let _ = fs::remove_dir_all(env.root());
    foreign.want(basic("user", "theirs"));
    env.with_lfs(&url)
        .arg(format!("--lfs-url={}", foreign.endpoint("up/.git")))
        .arg(format!(
            "--credential=[{},{}]",
            credential(&host.url(""), "p@ss"),
            credential(&foreign.url(""), "theirs")
        ))
        .sync();
    env.assert_lfs_published(&repo, &repo.head());
}

#[test]
fn actions_have_our_login_only_where_they_bring_none_of_their_own() {
    let env = Env::new();
    let _repo = env.lfs_repo("up");
    let (nginx, lfs, other) =
        (Nginx::start(&env.path("")), LfsServer::start(&env.path("")), LfsServer::start(&env.path("")));
    let own = basic("user", "p@ss");
    type Change = fn(&mut serde_json::Value, &str);
    let rows: [(&str, Change, bool, &str); 5] = [
        ("as they are", |_, _| {}, false, &own),
        (
            "with a login",
            |object, _| {
                object["actions"]["download"]["header"] = json!({ "Authorization": "RemoteAuth theirs" });
            },
            false,
            "RemoteAuth theirs",
        ),
        ("authenticated", |object, _| object["authenticated"] = json!(true), false, ""),
        ("elsewhere", |object, other| redirect(object, other), true, ""),
        (
            "elsewhere with a login",
            |object, other| {
                redirect(object, other);
                object["actions"]["download"]["header"] = json!({ "authorization": "RemoteAuth theirs" });
            },
            true,
            "RemoteAuth theirs",
        ),
    ];
    each_row(rows, |(what, change, is_elsewhere, expected)| {
        let _ = fs::remove_dir_all(env.root());
        let base = other.url("");
        lfs.spoil_batches(move |_, answer| {
            answer.alter(|body| {
                body["objects"].as_array_mut().unwrap().iter_mut().for_each(|object| change(object, &base))
            })
        });
        let server = if is_elsewhere { &other } else { &lfs };
        let before = server.gets().len();
        let log = env
            .with_lfs(nginx.url("up/.git"))
            .arg(format!("--lfs-url={}", lfs.endpoint("up/.git")))
            .arg(format!("--credential={}", credential(&lfs.url(""), "p@ss")))
            .arg("-v9")
            .sync()
            .stderr;
        assert!(!log.contains("p@ss") && !log.contains("theirs"), "{what}: {log}");
        let gets = server.gets().split_off(before);
        assert_eq!(gets.len(), 2, "{what}");
        for get in gets {
            assert_eq!(header(&get, "authorization"), expected, "{what}");
        }
    });
    // A login that the user meant for that very place goes there.
    let _ = fs::remove_dir_all(env.root());
    let base = other.url("");
    lfs.spoil_batches(move |_, answer| {
        answer.alter(|body| {
            body["objects"].as_array_mut().unwrap().iter_mut().for_each(|object| redirect(object, &base))
        })
    });
    env.with_lfs(nginx.url("up/.git"))
        .arg(format!("--lfs-url={}", lfs.endpoint("up/.git")))
        .arg(format!("--credential={}", credential(&other.url("objects"), "0ther")))
        .sync();
    assert_eq!(header(&other.gets().pop().unwrap(), "authorization"), basic("user", "0ther"));
}

/// Have an object come from another server.
fn redirect(object: &mut serde_json::Value, server: &str) {
    let href = object["actions"]["download"]["href"].as_str().unwrap();
    let path = href.splitn(4, '/').nth(3).unwrap();
    object["actions"]["download"]["href"] = format!("{server}{path}").into();
}
