//! Certificates, proxies, and what HTTP servers ask for.

use std::fs;
use std::path::Path;

use crate::support::*;

#[test]
fn a_refused_certificate_is_named_with_the_reason() {
    let env = Env::new();
    env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let log = env.syncline(nginx.tls_url("up/.git")).fail();
    assert!(
        log.contains("the certificate of CN=localhost is issued by CN=test-ca, which is not trusted"),
        "{log}"
    );
    let wrong_host = nginx.tls_url("up/.git").replace("localhost", "127.0.0.1");
    let log = env.syncline(wrong_host).arg("--ca-file").arg(nginx.ca_file()).fail();
    assert!(log.contains("the certificate of CN=localhost is not for 127.0.0.1"), "{log}");
    drop(nginx);

    let expired = Nginx::with(&env.path(""), -1, "");
    let log = env.syncline(expired.tls_url("up/.git")).arg("--ca-file").arg(expired.ca_file()).fail();
    assert!(log.contains("the certificate of CN=localhost expired at 20"), "{log}");
}

fn self_signed(certificate: &Path, key: &Path, curve: &str, options: &[&str]) {
    let curve = format!("ec_paramgen_curve:{curve}");
    let made = std::process::Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "ec", "-pkeyopt", &curve, "-nodes", "-days", "2", "-subj", "/CN=own",
        ])
        .args(options)
        .arg("-keyout")
        .arg(key)
        .arg("-out")
        .arg(certificate)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
}

#[test]
fn a_server_that_signs_for_itself_is_trusted_where_its_certificate_is_given() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let (certificate, key) = (env.path("own.pem"), env.path("own.key"));
    self_signed(&certificate, &key, "prime256v1", &["-addext", "subjectAltName=DNS:localhost"]);
    let front = TlsFront::start(nginx.port(), &certificate, &key);
    let url = format!("https://localhost:{}/up/.git", front.port);
    let log = env.syncline(&url).fail();
    let shown = std::process::Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-in"])
        .arg(&certificate)
        .output()
        .unwrap();
    let fingerprint = text(&shown.stdout).trim().split('=').next_back().unwrap().to_owned();
    let named = format!("CN=own is self-signed and not trusted (SHA-256 {fingerprint})");
    assert!(log.contains(&named) && log.contains("--ca-file or GIT_SSL_CAINFO"), "{log}");
    env.syncline(&url).arg("--ca-file").arg(&certificate).sync();
    env.assert_published(&repo, &repo.head());
    let other = url.replace("localhost", "127.0.0.1");
    let log = env.syncline(other).arg("--ca-file").arg(&certificate).fail();
    assert!(log.contains("the certificate of CN=own is not for 127.0.0.1"), "{log}");
}

#[test]
fn tls_1_2_and_1_3_are_spoken_and_nothing_older() {
    for (version, succeeds) in [("TLSv1.1", false), ("TLSv1.2", true), ("TLSv1.3", true)] {
        let env = Env::new();
        let repo = env.repo("up");
        let only = format!("ssl_protocols {version}; ssl_ciphers DEFAULT:@SECLEVEL=0;");
        let nginx = Nginx::with(&env.path(""), 2, &only);
        let finished =
            env.syncline(nginx.tls_url("up/.git")).arg("--ca-file").arg(nginx.ca_file()).one_time().run();
        assert_eq!(finished.code == Some(0), succeeds, "{version}: {}", finished.stderr);
        if succeeds {
            env.assert_published(&repo, &repo.head());
        } else {
            assert!(finished.stderr.contains("neither TLS 1.2 nor TLS 1.3"), "{}", finished.stderr);
        }
    }
}

#[test]
fn what_is_no_tls_that_we_speak_is_named() {
    let env = Env::new();
    env.repo("up");
    let cbc = "ssl_protocols TLSv1.2; ssl_ciphers ECDHE-RSA-AES256-SHA384:ECDHE-ECDSA-AES256-SHA384;";
    let nginx = Nginx::with(&env.path(""), 2, cbc);
    let log = env.syncline(nginx.tls_url("up/.git")).arg("--ca-file").arg(nginx.ca_file()).fail();
    assert!(log.contains("share no TLS cipher, key exchange or key type"), "{log}");
    let log = env.syncline(nginx.url("up/.git").replace("http:", "https:")).fail();
    assert!(log.contains("does not speak TLS here (invalid content type)"), "{log}");
}

#[test]
fn a_certificate_that_cannot_do_is_named_with_the_reason() {
    let env = Env::new();
    let (certificate, key) = (env.path("own.pem"), env.path("own.key"));
    let nginx = Nginx::start(&env.path(""));
    let names = ["-addext", "subjectAltName=DNS:other,DNS:another"];
    each_row(
        [
            (
                "prime256v1",
                &[][..],
                "is not for localhost: it has no subjectAltName, and the name in CN is ignored",
            ),
            ("prime256v1", &names, "is not for localhost: it names"),
            (
                "secp521r1",
                &["-addext", "subjectAltName=DNS:localhost"],
                "share no TLS cipher, key exchange or key type",
            ),
        ],
        |(curve, options, words)| {
            self_signed(&certificate, &key, curve, options);
            let front = TlsFront::start(nginx.port(), &certificate, &key);
            let url = format!("https://localhost:{}/up/.git", front.port);
            let log = env.syncline(&url).arg("--ca-file").arg(&certificate).fail();
            assert!(log.contains(words), "{log}");
        },
    );
}

#[test]
fn a_bundle_that_is_named_has_to_be_whole() {
    let env = Env::new();
    env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let bundle = env.path("bundle.pem");
    let good = fs::read_to_string(nginx.ca_file()).unwrap();
    let broken = "-----BEGIN CERTIFICATE-----\n%%%%\n-----END CERTIFICATE-----\n";
    let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n";
    each_row(
        [
            (String::new(), "holds no PEM certificate"),
            (broken.into(), "damaged or incomplete PEM certificate"),
            (format!("{good}{broken}"), "damaged or incomplete PEM certificate"),
            (format!("{good}{cut}"), "damaged or incomplete PEM certificate"),
        ],
        |(content, fault)| {
            fs::write(&bundle, content).unwrap();
            let run = || env.syncline(nginx.tls_url("up/.git"));
            for log in
                [run().arg("--ca-file").arg(&bundle).fail(), run().env("SSL_CERT_FILE", &bundle).fail()]
            {
                assert!(log.contains(fault) && log.contains("bundle.pem"), "{log}");
            }
        },
    );
}

#[test]
fn a_client_certificate_is_shown_where_one_is_wanted() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::with(&env.path(""), 2, "ssl_verify_client on; ssl_client_certificate {dir}/ca.pem;");
    let (certificate, key) = nginx.certificate();
    let run = || env.syncline(nginx.tls_url("up/.git")).arg("--ca-file").arg(nginx.ca_file());
    let log = run().fail();
    assert!(log.contains("No required SSL certificate was sent"), "{log}");

    run().arg("--client-cert-file").arg(&certificate).arg("--client-key-file").arg(&key).sync();
    env.assert_published(&repo, &repo.head());
    let together = env.path("together.pem");
    fs::write(&together, [fs::read(&key).unwrap(), fs::read(&certificate).unwrap()].concat()).unwrap();
    run().env("GITSYNC_CLIENT_CERT_FILE", &together).sync();
    let scoped = format!("\"http.{}.sslCert\":\"{}\"", nginx.tls_url(""), together.display());
    run().arg(format!("--git-config={scoped}")).sync();

    let other = Nginx::start(&env.path("up"));
    let log = run()
        .arg("--client-cert-file")
        .arg(&certificate)
        .arg("--client-key-file")
        .arg(other.certificate().1)
        .fail();
    assert!(log.contains(certificate.to_str().unwrap()) && log.contains("does not match its key"), "{log}");
    let log = run().arg("--client-cert-file=/nowhere/cert").fail();
    assert!(log.contains("/nowhere/cert"), "{log}");
    let log = run().arg("--client-key-file").arg(&key).fail();
    assert!(log.contains("--client-key-file: needs --client-cert-file"), "{log}");
}

#[test]
fn http_and_https_go_through_an_http_proxy_with_its_login() {
    let env = Env::new();
    let repo = env.repo("up");
    let (nginx, proxy) = (Nginx::start(&env.path("")), Tinyproxy::start(&env.path("")));
    let through = |proxy: &str| format!("--git-config=\"http.proxy\":\"{proxy}\"");
    for url in [nginx.url("up/.git"), nginx.tls_url("up/.git")] {
        repo.commit(&[("file", &url)]);
        let finished = env
            .syncline(&url)
            .arg("--ca-file")
            .arg(nginx.ca_file())
            .arg("-v9")
            .arg(through(&proxy.url()))
            .sync();
        env.assert_published(&repo, &repo.head());
        assert!(!finished.stderr.contains("pp@"), "{}", finished.stderr);
        let wrong = proxy.url().replace(":pp@", ":canary@");
        let log = env.syncline(&url).arg("--ca-file").arg(nginx.ca_file()).arg(through(&wrong)).fail();
        assert!(log.contains("wants other credentials") && !log.contains("canary"), "{log}");
    }
    let log = env.syncline(nginx.tls_url("up/.git")).arg(through("http://127.0.0.1:1")).fail();
    assert!(log.contains("the proxy http://127.0.0.1:1: 127.0.0.1:1: Connection refused"), "{log}");

    // The proxy itself may speak TLS.
    let (certificate, key) = nginx.certificate();
    let front = TlsFront::start(proxy.port, &certificate, &key);
    let by_tls = through(&format!("https://pu:pp@localhost:{}", front.port));
    for url in [nginx.url("up/.git"), nginx.tls_url("up/.git")] {
        repo.commit(&[("file", &by_tls)]);
        env.syncline(&url).arg("--ca-file").arg(nginx.ca_file()).arg(&by_tls).sync();
        env.assert_published(&repo, &repo.head());
    }
}

#[test]
fn http_and_git_go_through_a_socks_proxy_with_its_login() {
    let env = Env::new();
    let repo = env.repo("up");
    let (nginx, daemon, proxy) =
        (Nginx::start(&env.path("")), GitDaemon::start(&env.path("")), Microsocks::start());
    let through =
        |proxy: &str| (format!("--git-config=\"http.proxy\":\"{proxy}\""), format!("--ssh-proxy={proxy}"));
    for url in [nginx.url("up/.git"), nginx.tls_url("up/.git"), daemon.url("up/.git")] {
        repo.commit(&[("file", &url)]);
        let run = |proxy: &str| {
            let (http, others) = through(proxy);
            env.syncline(&url).arg("--ca-file").arg(nginx.ca_file()).arg(http).arg(others)
        };
        run(&proxy.url()).sync();
        env.assert_published(&repo, &repo.head());
        let log = run(&proxy.url().replace(":pp@", ":canary@")).fail();
        assert!(log.contains("refuses the login") && !log.contains("canary"), "{log}");
        let log = run(&proxy.url().replace("pu:pp@", "")).fail();
        assert!(log.contains("requires a login"), "{log}");
    }
    let gone = daemon.url("up/.git").replace(&daemon.port().to_string(), "1");
    let log = env.syncline(gone).arg(through(&proxy.url()).1).fail();
    assert!(log.contains("was refused by the server"), "{log}");
}

#[test]
fn ssh_goes_through_either_kind_of_proxy() {
    let env = Env::new();
    let repo = env.repo("up");
    let sshd = Sshd::start(&env);
    let (tiny, socks) = (Tinyproxy::start(&env.path("")), Microsocks::start());
    let (key, known_hosts) = (sshd.authorized_key(), sshd.known_hosts(&sshd.host_line("ed25519")));
    for proxy in [tiny.url(), socks.url()] {
        let run = |proxy: &str| {
            env.syncline(sshd.url(env.path("up")))
                .arg("--ssh-key-file")
                .arg(&key)
                .arg("--ssh-known-hosts-file")
                .arg(&known_hosts)
                .arg(format!("--ssh-proxy={proxy}"))
        };
        repo.commit(&[("file", &proxy)]);
        run(&proxy).sync();
        env.assert_published(&repo, &repo.head());
        let log = run(&proxy.replace(":pp@", ":canary@")).fail();
        let refusal =
            if proxy.starts_with("socks") { "refuses the login" } else { "wants other credentials" };
        assert!(log.contains("the proxy") && log.contains(refusal) && !log.contains("canary"), "{log}");
    }
    let log = env.syncline("host:x").arg("--ssh-proxy=https://proxy").fail();
    assert!(log.contains("--ssh-proxy: must be an http or socks5 URL"), "{log}");
}

#[test]
fn the_usual_variables_name_proxies_for_git_and_webhooks_alike() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let (guide, tls_guide, hook) =
        (Guide::start(nginx.port()), Guide::start(nginx.tls_port()), Canned::status("200 OK"));
    let hook_guide = Guide::start(hook.url("").split([':', '/']).nth(4).unwrap().parse().unwrap());
    let run = |url: &str| env.syncline(url).arg("--ca-file").arg(nginx.ca_file());
    run("http://git.example/up/.git")
        .env("HTTP_PROXY", "http://127.0.0.1:1")
        .env("http_proxy", guide.url())
        .sync();
    env.assert_published(&repo, &repo.head());
    assert_eq!(
        guide.asked(),
        ["GET http://git.example:80/up/.git/info/refs?service=git-upload-pack HTTP/1.1"]
    );

    // The certificate is for localhost alone, but the way to the server is asked for.
    let finished = run("https://git.example:444/up/.git").env("ALL_PROXY", tls_guide.url()).one_time().run();
    assert!(finished.stderr.contains("is not for git.example"), "{}", finished.stderr);
    assert_eq!(tls_guide.asked(), ["CONNECT git.example:444 HTTP/1.1"]);

    let webhook = "--webhook-url=http://hook.example/x";
    run(&nginx.url("up/.git")).env("HTTP_PROXY", hook_guide.url()).arg(webhook).sync();
    assert_eq!(hook_guide.asked().len(), 1, "loopback needs no proxy");
    let log =
        run("http://git.example/up/.git").env("http_proxy", guide.url()).env("NO_PROXY", ".example").fail();
    assert!(log.contains("cannot resolve git.example"), "{log}");
    let log = run("http://git.example/x").env("https_proxy", "ftp://canary@x").fail();
    assert!(log.contains("https_proxy: has an unknown scheme") && !log.contains("canary"), "{log}");
}

#[test]
fn a_server_that_wants_to_be_left_alone_is() {
    let env = Env::new();
    let later = "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n";
    for (field, pause) in [
        ("Retry-After: 77\r\n", "1m 17s"),
        ("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:50:38 GMT\r\n", "1m 1s"),
        ("Retry-After: 999999999999\r\n", "1h"),
    ] {
        let server = Canned::start(move |_| format!("{later}{field}\r\n"));
        let running = env.syncline(server.url("x")).arg("--max-failures=-1").arg("--period=10ms").spawn();
        running.wait_for(&format!(r#""retry_in":"{pause}"#)); // and up to a period more
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn answers_may_be_compressed() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::with(&env.path(""), 2, "gzip on; gzip_types *; gzip_min_length 1;");
    env.syncline(nginx.url("up/.git")).arg("--git-config=http.userAgent:me").sync();
    env.assert_published(&repo, &repo.head());
    assert!(nginx.encodings().contains(&"gzip me".into()), "{:?}", nginx.encodings());
}

#[test]
fn protocols_can_be_forbidden() {
    let env = Env::new();
    env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let log = env.syncline(nginx.url("up/.git")).arg("--git-config=protocol.http.allow:never").fail();
    assert!(log.contains("--repo: uses the protocol http, which protocol.allow forbids"), "{log}");
    assert!(nginx.requests().is_empty() && !env.root().exists());
}
