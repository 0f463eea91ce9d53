//! A real Prometheus scrapes a real syncline, and a real Alertmanager hears of one that is stale.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::manifests::deployed;
use crate::support::*;

/// A program that ends with the test.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(program: &str, port: u16, arguments: &[String]) -> Server {
        let mut command = Command::new(program);
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let child = command.spawn().unwrap_or_else(|err| panic!("{program}: {err}"));
        await_port(port);
        Server { child, port }
    }

    /// An answer of its interface.
    fn ask(&self, path: &str) -> Option<Value> {
        let (status, body) = get(self.port, path);
        (status == 200).then(|| serde_json::from_str(&body).unwrap())
    }

    /// The values of a query, with their labels.
    fn query(&self, query: &str) -> Vec<Value> {
        let answer = self.ask(&format!("/api/v1/query?query={query}"));
        answer.and_then(|answer| answer["data"]["result"].as_array().cloned()).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

fn alertmanager(env: &Env) -> Server {
    let (port, config) = (free_port(), env.path("alertmanager.yaml"));
    fs::write(&config, "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n").unwrap();
    let arguments = [
        format!("--config.file={}", config.display()),
        format!("--storage.path={}", env.path("alerts").display()),
        format!("--web.listen-address=127.0.0.1:{port}"),
        "--cluster.listen-address=".into(),
    ];
    Server::start("prometheus-alertmanager", port, &arguments)
}

/// The rules that ship, but for their patience: five minutes are one second.
fn impatient_rules(env: &Env) -> String {
    let rules = fs::read_to_string(deployed("../prometheus/syncline.rules.yaml")).unwrap();
    let rules = rules.replace("for: 5m", "for: 0s").replace("> 300", "> 1");
    let path = env.path("rules.yaml");
    fs::write(&path, rules).unwrap();
    path.display().to_string()
}

fn prometheus(env: &Env, target: u16, alerts: u16) -> Server {
    let (port, config) = (free_port(), env.path("prometheus.yaml"));
    let text = format!(
        "global: {{scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}}\n\
         rule_files: ['{}']\n\
         scrape_configs: [{{job_name: syncline, static_configs: [{{targets: ['127.0.0.1:{target}']}}]}}]\n\
         alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{alerts}']}}]}}]}}\n",
        impatient_rules(env)
    );
    fs::write(&config, text).unwrap();
    let arguments = [
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", env.path("series").display()),
        format!("--web.listen-address=127.0.0.1:{port}"),
    ];
    Server::start("prometheus", port, &arguments)
}

#[test]
fn prometheus_reads_every_sample_and_alertmanager_hears_of_what_is_stale() {
    let env = Env::new();
    let repo = env.repo("up");
    let port = free_port();
    let program = env.syncline(repo.url()).arg(format!("--http-bind=127.0.0.1:{port}")).arg("--http-metrics");
    let running = program.arg("--period=100ms").arg("--max-failures=-1").spawn();
    running.wait_for("published");
    let alertmanager = alertmanager(&env);
    let prometheus = prometheus(&env, port, alertmanager.port);
    let target = eventually("a scrape", || {
        let target = prometheus.ask("/api/v1/targets")?["data"]["activeTargets"][0].clone();
        (target["health"] == "up").then_some(target)
    });
    assert_eq!(target["lastError"], "");
    let commit = eventually("what is published", || prometheus.query("syncline_published_commit_info").pop());
    assert_eq!(commit["metric"]["hash"], repo.head());
    assert_eq!(prometheus.query("syncline_ready")[0]["value"][1], "1");
    let counted = prometheus.query("git_sync_count_total{status=\"success\"}");
    assert_eq!(counted[0]["value"][1], "1", "counters keep their names in OpenMetrics");
    let heard = |name: &str| {
        let alerts = alertmanager.ask("/api/v2/alerts")?;
        alerts.as_array()?.iter().find(|alert| alert["labels"]["alertname"] == name).cloned()
    };
    assert_eq!(heard("SynclineStale"), None);
    fs::rename(&repo.path, env.path("away")).unwrap();
    let alert = eventually("an alert", || heard("SynclineStale"));
    let summary = alert["annotations"]["summary"].as_str().unwrap();
    assert!(summary.contains(&format!("127.0.0.1:{port} has not synced for")), "{summary}");
    eventually("another alert", || heard("SynclineFailing"));
}
