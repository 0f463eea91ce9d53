//! Logins, rights and TLS of NATS.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use sync_core::{ConnectOptions, HttpSetting, Secret};
use sync_relay::engine::{Access, Connections, Login, Swap, open};

use crate::nats::{NatsServer, versions};
use crate::support::{Pack, Place, eventually, interrupt};

const ACCOUNTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/accounts.conf");

fn user(server: &NatsServer, username: &str, password: &str) -> Place {
    let login = Login::Password { username: username.into(), password: Secret::from(password) };
    Place::new(server.url(), login)
}

#[test]
fn the_least_rights_are_enough() {
    for program in versions() {
        let server = NatsServer::start(&program, &["-c", ACCOUNTS]);
        let (feeder, pod) = (user(&server, "feeder", "feeder-word"), user(&server, "pod", "pod-word"));
        let (mut feeder, mut follower) = (feeder.engine("site"), pod.engine("site"));
        feeder.prepare(&interrupt()).unwrap();
        assert_eq!(follower.tip(&interrupt()).unwrap(), None);
        let Swap::Done(revision) = feeder.swap(b"one", None, &interrupt()).unwrap() else { panic!() };
        assert_eq!(follower.tip(&interrupt()).unwrap().unwrap().revision, revision);
        assert!(follower.tells_news());
        let mut pack = Pack::of(1_000_000, 1);
        pack.put(feeder.as_mut()).unwrap();
        pack.assert_read(follower.as_mut());
        assert_eq!(feeder.packs(&interrupt()).unwrap().len(), 1);
        feeder.remove_pack(&pack.name, &interrupt()).unwrap();

        let refused = follower.swap(b"two", Some(&revision), &interrupt()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{refused}");
        assert!(refused.to_string().contains("$KV.syncline.tip.site"), "{refused}");
        let refused = pack.put(follower.as_mut()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{refused}");
        let mut other = pod.engine("other");
        let refused = other.tip(&interrupt()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{refused}");
        eventually("a refusal", || (!other.tells_news()).then_some(()));
    }
}

#[test]
fn a_wrong_password_is_refused_and_not_quoted() {
    for program in versions() {
        let server = NatsServer::start(&program, &["-c", ACCOUNTS]);
        for login in [
            Login::Password { username: "pod".into(), password: Secret::from("wrong-word") },
            Login::Token(Secret::from("wrong-word")),
            Login::None,
        ] {
            let mut engine = Place::new(server.url(), login).engine("site");
            let refused = engine.tip(&interrupt()).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{refused}");
            assert!(!refused.to_string().contains("wrong-word"), "{refused}");
            assert!(!engine.is_connected());
        }
    }
}

#[test]
fn a_password_that_changed_counts_at_the_next_connection() {
    let [_, program] = versions();
    let mut server = NatsServer::start(&program, &["--user", "me", "--pass", "first-word"]);
    let password = Arc::new(Mutex::new("first-word"));
    let current = password.clone();
    let provider = move || {
        let password = Secret::from(*current.lock().unwrap());
        Ok(Login::Password { username: "me".into(), password })
    };
    let access = Access::new(ConnectOptions::default(), Arc::new(provider), Arc::new(|| {}));
    let mut engine =
        open(&server.url().parse().unwrap(), &"a".parse().unwrap(), access, &Connections::default());
    engine.prepare(&interrupt()).unwrap();
    server.kill();
    server.arguments[3] = "second-word".into();
    server.restart();
    eventually("a refusal", || {
        let refused = engine.tip(&interrupt()).err()?;
        (refused.kind() == ErrorKind::PermissionDenied).then_some(())
    });
    *password.lock().unwrap() = "second-word";
    eventually("a connection", || engine.tip(&interrupt()).ok());
}

#[test]
fn a_token_logs_in() {
    for program in versions() {
        let server = NatsServer::start(&program, &["--auth", "some-token"]);
        let mut engine = Place::new(server.url(), Login::Token(Secret::from("some-token"))).engine("site");
        engine.prepare(&interrupt()).unwrap();
        assert_eq!(engine.tip(&interrupt()).unwrap(), None);
    }
}

/// An authority, and certificates of a server and of a client.
fn make_certificates(dir: &Path) {
    let openssl = |arguments: &str| {
        let output = Command::new("openssl").args(arguments.split(' ')).current_dir(dir).output().unwrap();
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=test-ca"));
    fs_err::write(dir.join("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n").unwrap();
    for name in ["server", "client"] {
        openssl(&format!("req {key} -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out {name}.pem"
        ));
    }
}

#[test]
fn certificates_count_on_both_sides() {
    let dir = tempfile::tempdir().unwrap();
    make_certificates(dir.path());
    let file = |name: &str| dir.path().join(name);
    let connect = |settings: Vec<HttpSetting>| {
        let mut options = ConnectOptions::default();
        options.http.extend(settings.into_iter().map(|setting| (None, setting)));
        options
    };
    let authority = || HttpSetting::CaFile(file("ca.pem"));
    let own = || [HttpSetting::ClientCert(file("client.pem")), HttpSetting::ClientKey(file("client.key"))];
    let shown = |name: &str| file(name).display().to_string();
    for program in versions() {
        let (ca, cert, key) = (shown("ca.pem"), shown("server.pem"), shown("server.key"));
        let arguments = ["--tlsverify", "--tlscacert", &ca, "--tlscert", &cert, "--tlskey", &key];
        let server = NatsServer::start(&program, &arguments);
        let tls = server.url().replace("nats://", "tls://");
        for url in [tls.clone(), tls.replace("127.0.0.1", "localhost"), server.url()] {
            let options = connect([authority()].into_iter().chain(own()).collect());
            let mut engine = Place::with(url, options, Login::None).engine("a");
            engine.prepare(&interrupt()).unwrap();
            assert_eq!(engine.tip(&interrupt()).unwrap(), None);
        }
        for settings in [vec![authority()], own().into(), vec![]] {
            let mut engine = Place::with(tls.clone(), connect(settings), Login::None).engine("a");
            let failed = engine.tip(&interrupt()).unwrap_err();
            assert_eq!(failed.kind(), ErrorKind::NotConnected, "{failed}");
            assert!(failed.to_string().contains(&tls), "{failed}");
        }
    }
}

#[test]
fn a_server_without_tls_gets_no_login_where_tls_is_asked_for() {
    for program in versions() {
        let server = NatsServer::start(&program, &[]);
        let mut engine = Place::new(server.url().replace("nats://", "tls://"), Login::None).engine("a");
        let failed = engine.tip(&interrupt()).unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::NotConnected, "{failed}");
    }
}

#[test]
fn a_file_of_certificates_that_is_missing_is_named() {
    let mut options = ConnectOptions::default();
    options.http.push((None, HttpSetting::CaFile("/none/ca.pem".into())));
    let mut engine = Place::with("nats://127.0.0.1:1", options, Login::None).engine("a");
    let failed = engine.tip(&interrupt()).unwrap_err();
    assert!(failed.to_string().contains("/none/ca.pem"), "{failed}");
}
