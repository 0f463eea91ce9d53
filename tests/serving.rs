//! The HTTP server, as probes, Prometheus and people meet it.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::*;

fn serving(env: &Env, repo: &str, port: u16) -> Syncline {
    env.syncline(repo).arg(format!("--http-bind=127.0.0.1:{port}")).arg("--http-metrics").arg("--period=20ms")
}

/// The samples of a metric: its labels and its value.
fn samples(page: &prometheus_parse::Scrape, name: &str) -> Vec<(String, f64)> {
    let found = page.samples.iter().filter(|sample| sample.metric == name).map(|sample| {
        let mut labels: Vec<String> =
            sample.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        labels.sort();
        let value = match sample.value {
            prometheus_parse::Value::Counter(value)
            | prometheus_parse::Value::Gauge(value)
            | prometheus_parse::Value::Untyped(value) => value,
            ref other => panic!("{name}: {other:?}"),
        };
        (labels.join(","), value)
    });
    found.collect()
}

fn scrape(port: u16) -> prometheus_parse::Scrape {
    let (status, page) = get(port, "/metrics");
    assert_eq!(status, 200);
    prometheus_parse::Scrape::parse(page.lines().map(|line| Ok(line.to_owned()))).unwrap()
}

/// A named pipe that nobody reads stands for a file system that does not answer.
#[test]
fn files_on_a_file_system_that_hangs_stop_neither_probes_nor_syncs_nor_signals() {
    for option in ["--touch-file", "--error-file"] {
        let env = Env::new();
        let repo = env.repo("up");
        let pipe = env.path("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        // The error file is replaced by a rename: what it is written to first hangs.
        let named = if option == "--error-file" {
            std::fs::rename(&pipe, env.path(".error.tmp")).unwrap();
            std::fs::rename(&repo.path, env.path("away")).unwrap();
            env.path("error")
        } else {
            pipe
        };
        let port = free_port();
        let program = serving(&env, repo.url(), port).arg("--max-failures=-1").arg("-v1");
        let mut running = program.arg(format!("{option}={}", named.display())).spawn();
        if option == "--error-file" {
            running.wait_for("sync failed");
            std::fs::rename(env.path("away"), &repo.path).unwrap();
        }
        running.wait_for("\"published\"");
        let commit = repo.commit(&[("file", "two\n")]);
        eventually("the next commit", || (env.published()? == commit).then_some(()));
        assert_eq!(get(port, "/livez").0, 200, "{option}");
        assert_eq!(get(port, "/readyz").0, 200, "{option}");
        running.signal(rustix::process::Signal::TERM);
        assert_eq!(running.wait().0, Some(0), "{option}: {}", running.log());
        assert!(running.log().contains("its file system does not answer"), "{option}: {}", running.log());
    }
}

#[test]
fn readiness_is_git_syncs_at_any_path_and_knows_freshness_at_readyz() {
    let env = Env::new();
    let repo = env.repo("up");
    let port = free_port();
    std::fs::rename(&repo.path, env.path("away")).unwrap();
    let running = serving(&env, repo.url(), port).arg("--max-failures=-1").arg("--stale-after=300ms").spawn();
    for path in ["/", "/anything", "/readyz"] {
        assert_eq!(get(port, path).0, 503, "{path}");
    }
    assert_eq!(get(port, "/livez").0, 200);
    std::fs::rename(env.path("away"), &repo.path).unwrap();
    running.wait_for("published");
    eventually("readiness", || (get(port, "/readyz").0 == 200).then_some(()));
    assert_eq!(get(port, "/"), (200, String::new()));
    assert_eq!(request(port, "POST /x HTTP/1.0\r\n\r\n").0, 200);
    // Gone again: still ready as git-sync has it, but no longer fresh.
    std::fs::rename(&repo.path, env.path("away")).unwrap();
    let body = eventually("staleness", || Some(get(port, "/readyz")).filter(|(status, _)| *status == 503)).1;
    assert!(body.contains("the last success was"), "{body}");
    assert_eq!(get(port, "/").0, 200);
}

#[test]
fn metrics_have_git_syncs_names_types_and_labels() {
    let env = Env::new();
    let repo = env.repo("up");
    let port = free_port();
    let hook = env.path("hook");
    write_program(&hook, "#!/bin/sh\n");
    let running = serving(&env, repo.url(), port).arg("--exechook-command").arg(&hook).arg("-v1").spawn();
    running.wait_for_times("nothing new", 2);
    let commit = repo.commit(&[("file", "two")]);
    running.wait_for_times("\"delivered\"", 2);
    std::fs::rename(&repo.path, env.path("away")).unwrap();
    running.wait_for("sync failed");
    let (_, text) = get(port, "/metrics");
    for (name, kind) in [
        ("git_sync_duration_seconds", "summary"),
        ("git_sync_count_total", "counter"),
        ("git_fetch_count_total", "counter"),
        ("git_sync_hook_run_count_total", "counter"),
    ] {
        assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{text}");
    }
    let page = scrape(port);
    let counts = samples(&page, "git_sync_count_total");
    let count = |status: &str| counts.iter().find(|(labels, _)| labels == status).unwrap().1;
    assert_eq!(count("status=success"), 2.0);
    assert!(count("status=noop") >= 2.0 && count("status=error") >= 1.0, "{counts:?}");
    assert_eq!(samples(&page, "git_fetch_count_total"), [(String::new(), 2.0)]);
    assert_eq!(
        samples(&page, "git_sync_hook_run_count_total"),
        [("name=exechook,status=success".into(), 2.0)]
    );
    assert!(samples(&page, "syncline_consecutive_failures")[0].1 >= 1.0);
    assert_eq!(
        samples(&page, "syncline_published_commit_info"),
        [(format!("hash={commit},ref=HEAD,source={}", repo.url()), 1.0)]
    );
    assert!(samples(&page, "syncline_received_objects_total")[0].1 >= 5.0);
    assert!(samples(&page, "syncline_disk_bytes").iter().all(|(_, bytes)| *bytes > 0.0));
    assert!(samples(&page, "syncline_last_success_timestamp_seconds")[0].1 > 1.7e9);
    assert!(text.contains("syncline_phase_duration_seconds_count{phase=\"write\"} 2\n"), "{text}");
}

/// Dashboards know these; with one repository there are no others.
#[test]
fn one_repository_has_these_samples_and_no_others() {
    let env = Env::new();
    let repo = env.repo("up");
    let port = free_port();
    let hook = env.path("hook");
    write_program(&hook, "#!/bin/sh\n");
    let running = serving(&env, repo.url(), port).arg("--exechook-command").arg(&hook).arg("-v1").spawn();
    running.wait_for("\"delivered\"");
    running.wait_for("nothing new");
    std::fs::rename(&repo.path, env.path("away")).unwrap();
    running.wait_for("sync failed");
    let commit = env.published().unwrap();
    let mut names: Vec<String> = get(port, "/metrics")
        .1
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit_once(' ').unwrap().0.replace(&commit, "COMMIT").replace(repo.url(), "SOURCE"))
        // Only a build for release has it.
        .map(|name| name.split_once(",commit=").map_or(name.clone(), |(before, _)| format!("{before}}}")))
        .collect();
    names.sort();
    let mut expected: Vec<String> = Vec::new();
    for name in ["git_sync_duration_seconds_sum", "git_sync_duration_seconds_count", "git_sync_count_total"] {
        expected.extend(["success", "error", "noop"].map(|status| format!("{name}{{status=\"{status}\"}}")));
    }
    for name in ["syncline_phase_duration_seconds_sum", "syncline_phase_duration_seconds_count"] {
        expected.extend(["receive", "request", "write"].map(|phase| format!("{name}{{phase=\"{phase}\"}}")));
    }
    for status in ["success", "error", "noop"] {
        let name = "syncline_sync_duration_seconds";
        let bounds = ["0.01", "0.05", "0.1", "0.5", "1.0", "5.0", "30.0", "120.0", "+Inf"];
        expected.extend(bounds.map(|bound| format!("{name}_bucket{{status=\"{status}\",le=\"{bound}\"}}")));
        expected.extend(["sum", "count"].map(|part| format!("{name}_{part}{{status=\"{status}\"}}")));
    }
    let version = env!("CARGO_PKG_VERSION");
    expected.push(format!("syncline_build_info{{version=\"{version}\"}}"));
    let others = [
        "syncline_config_period_seconds",
        "syncline_lag_seconds_count",
        "syncline_lag_seconds_sum",
        "syncline_rate_limited_total{to=\"git\"}",
        "syncline_ready",
        "syncline_volume_available_bytes",
        "syncline_volume_size_bytes",
        "git_fetch_count_total",
        "git_sync_hook_run_count_total{name=\"exechook\",status=\"success\"}",
        "syncline_received_bytes_total",
        "syncline_received_objects_total",
        "syncline_last_attempt_timestamp_seconds",
        "syncline_last_success_timestamp_seconds",
        "syncline_consecutive_failures",
        "syncline_published_commit_info{hash=\"COMMIT\",source=\"SOURCE\",ref=\"HEAD\"}",
        "syncline_published_commit_timestamp_seconds",
        "syncline_published_timestamp_seconds",
        "syncline_disk_bytes{kind=\"store\"}",
        "syncline_disk_bytes{kind=\"tree\"}",
        "process_cpu_seconds_total",
        "process_open_fds",
        "process_max_fds",
        "process_virtual_memory_bytes",
        "process_virtual_memory_max_bytes",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
    ];
    expected.extend(others.map(ToOwned::to_owned));
    expected.sort();
    assert_eq!(names, expected);
}

#[test]
fn the_status_page_tells_what_is_published() {
    let env = Env::new();
    let repo = env.repo("up");
    repo.git(&["commit", "--quiet", "--allow-empty", "--message=A \"subject\"\n\nbody"]);
    let port = free_port();
    let running = serving(&env, repo.url(), port).spawn();
    running.wait_for("published");
    let status = || serde_json::from_str::<serde_json::Value>(&get(port, "/status").1).unwrap();
    eventually("the commit", || (!status()["published"].is_null()).then_some(()));
    let page = status();
    assert_eq!(page["published"]["commit"], repo.head());
    assert_eq!(page["published"]["subject"], "A \"subject\"");
    assert_eq!((&page["ready"], &page["unready"]), (&true.into(), &serde_json::Value::Null));
    assert_eq!((&page["source"], &page["ref"]), (&repo.url().into(), &"HEAD".into()));
    assert!(page["last_success"].as_str().unwrap().ends_with('Z') && page["last_error"].is_null());
    std::fs::rename(&repo.path, env.path("away")).unwrap();
    eventually("the error", || {
        status()["last_error"].as_str().map(|text| assert!(text.contains("open "), "{text}"))
    });
}

#[test]
fn metrics_tell_of_the_process_under_the_usual_names() {
    let env = Env::new();
    let repo = env.repo("up");
    let port = free_port();
    let running = serving(&env, repo.url(), port).spawn();
    running.wait_for("published");
    let page = scrape(port);
    let value = |name: &str| samples(&page, name)[0].1;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((now - value("process_start_time_seconds")).abs() < 60.0);
    assert!((0.0..60.0).contains(&value("process_cpu_seconds_total")));
    let (resident, reserved) =
        (value("process_resident_memory_bytes"), value("process_virtual_memory_bytes"));
    assert!(resident > 1e6 && reserved > resident && reserved < 1e11, "{resident} {reserved}");
    assert!(value("process_virtual_memory_max_bytes") >= reserved);
    let (open, limit) = (value("process_open_fds"), value("process_max_fds"));
    assert!(open > 4.0 && limit > open, "{open} {limit}");
    let (_, text) = get(port, "/metrics");
    assert!(text.contains("# TYPE process_cpu_seconds_total counter\n"), "{text}");
}

#[test]
fn calls_of_the_askpass_url_are_counted_by_git_syncs_name() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let is_down = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let down = is_down.clone();
    let server = Canned::start(move |_| match down.load(std::sync::atomic::Ordering::SeqCst) {
        false => response("200 OK", "username=user\npassword=p@ss\n"),
        true => response("500 Down", ""),
    });
    let port = free_port();
    let running = serving(&env, &nginx.url("login/up/.git"), port)
        .arg(format!("--askpass-url={}", server.url("")))
        .arg("-v1")
        .spawn();
    running.wait_for_times("nothing new", 2);
    is_down.store(true, std::sync::atomic::Ordering::SeqCst);
    running.wait_for("the answer is HTTP 500");
    let calls = samples(&scrape(port), "git_sync_askpass_calls");
    let count = |status: &str| calls.iter().find(|(labels, _)| labels == status).unwrap().1;
    assert!(count("status=success") >= 3.0 && count("status=error") >= 1.0, "{calls:?}");
    let (_, text) = get(port, "/metrics");
    assert!(text.contains("# TYPE git_sync_askpass_calls counter\n"), "{text}");
    env.assert_published(&repo, &repo.head());
}

#[test]
fn the_status_page_tells_of_the_last_ten_attempts() {
    let env = Env::new();
    let repo = env.repo("up");
    let port = free_port();
    let running = serving(&env, repo.url(), port).arg("-v1").spawn();
    let attempts = || {
        let page: serde_json::Value = serde_json::from_str(&get(port, "/status").1).unwrap();
        page["last_attempts"].as_array().unwrap().clone()
    };
    running.wait_for_times("nothing new", 3);
    let all = attempts();
    assert_eq!((&all.last().unwrap()["outcome"], &all[0]["outcome"]), (&"success".into(), &"noop".into()));
    assert!(all[0]["at"].as_str().unwrap().ends_with('Z') && all[0]["seconds"].as_f64().unwrap() < 60.0);
    assert!(all[0].get("error").is_none());
    running.wait_for_times("nothing new", 12);
    assert_eq!(attempts().len(), 10);
    std::fs::rename(&repo.path, env.path("away")).unwrap();
    let newest =
        eventually("a failure", || Some(attempts()[0].clone()).filter(|one| one["outcome"] == "error"));
    assert!(newest["error"].as_str().unwrap().contains("open "), "{newest}");
}

#[test]
fn healthcheck_asks_the_process_beside_it() {
    let env = Env::new();
    let repo = env.repo("up");
    let port = free_port();
    let check = |arguments: &[&str]| {
        let check = Syncline::new().arg("healthcheck").env("GITSYNC_HTTP_BIND", format!(":{port}"));
        arguments.iter().fold(check, |check, argument| check.arg(argument)).run()
    };
    assert_eq!(check(&[]).code, Some(1));
    let running = serving(&env, repo.url(), port).spawn();
    running.wait_for("published");
    eventually("health", || (check(&[]).code == Some(0)).then_some(()));
    assert_eq!(check(&["/livez"]).code, Some(0));
    drop(running);
    std::fs::rename(&repo.path, env.path("away")).unwrap();
    let _running = serving(&env, repo.url(), port).arg("--max-failures=-1").arg("--period=1h").spawn();
    let said = eventually("the reason", || {
        Some(check(&[]).stderr).filter(|said| said.contains("the last attempt: "))
    });
    assert!(said.contains("nothing was synced yet") && said.lines().count() == 1, "{said}");
    let unset = Syncline::new().arg("healthcheck").run();
    assert!(unset.code == Some(1) && unset.stderr.contains("--http-bind"), "{}", unset.stderr);
}

#[test]
fn an_address_in_use_is_a_clear_error() {
    let env = Env::new();
    let repo = env.repo("up");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut running = env.syncline(repo.url()).arg("--http-bind").arg(&address).spawn();
    assert_eq!(running.wait().0, Some(1));
    eventually("the log", || running.log().contains(&format!("--http-bind {address}")).then_some(()));
    for option in ["--http-metrics", "--http-pprof"] {
        let log = env.syncline(repo.url()).arg(option).fail();
        assert!(log.contains(&format!("{option}: needs --http-bind")), "{log}");
    }
}

/// Probes must be answered whatever others do to the port.
#[test]
fn slow_greedy_and_many_clients_keep_nobody_from_an_answer() {
    let env = Env::new();
    let repo = env.repo("up");
    let port = free_port();
    let running = serving(&env, repo.url(), port).spawn();
    running.wait_for("published");
    let mut clients: Vec<TcpStream> = Vec::new();
    for _ in 0..600 {
        let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        client.write_all(b"GET /metrics HTTP/1.1\r\nHost: slow").unwrap();
        clients.push(client);
    }
    let (code, _) = get(port, "/readyz");
    assert_eq!(code, 200);
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", running.id())).unwrap().count();
    assert!(descriptors < 200, "{descriptors} descriptors");
    let mut greedy = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let header = format!("GET /status HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    let _ = greedy.write_all(header.as_bytes());
    let mut answer = Vec::new();
    let _ = greedy.read_to_end(&mut answer);
    assert!(!text(&answer).contains(" 200 "), "{}", text(&answer));
    assert_eq!(get(port, "/readyz").0, 200);
}
