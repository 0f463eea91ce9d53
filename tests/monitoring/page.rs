//! The page for people, in a real browser.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::*;

const HOSTILE: &str = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"> \u{202e}evil\u{1b}[2J &lt;b&gt;";

/// What a browser makes of a page, and a picture of it.
fn rendered(env: &Env, url: &str, picture: &Path) -> String {
    let browser = |arguments: &[&str]| {
        let mut chromium = Command::new("chromium");
        chromium.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
        chromium.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
        chromium.arg("--hide-scrollbars").arg(format!("--user-data-dir={}", env.path("chromium").display()));
        let output = chromium.args(arguments).arg(url).output().expect("the Debian package chromium");
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    browser(&["--window-size=1000,1100", &format!("--screenshot={}", picture.display())]);
    browser(&["--dump-dom"])
}

fn serving(env: &Env, repo: &Repo, port: u16) -> Syncline {
    let program = env.syncline(repo.url()).arg(format!("--http-bind=127.0.0.1:{port}"));
    program.arg("--period=50ms").arg("--max-failures=-1")
}

#[test]
fn a_browser_shows_what_is_published_and_runs_nothing_of_a_stranger() {
    let env = Env::new();
    let repo = env.repo("up");
    repo.git(&["commit", "--quiet", "--allow-empty", &format!("--message={HOSTILE}")]);
    let port = free_port();
    let running = serving(&env, &repo, port).spawn();
    running.wait_for("published");
    eventually("the commit", || get(port, "/status").1.contains(&repo.head()).then_some(()));
    let picture = env.path("page.png");
    let page = rendered(&env, &format!("http://127.0.0.1:{port}/status"), &picture);
    assert!(page.contains("<title>syncline</title>") && !page.contains("<img"), "{page}");
    assert!(page.contains("&lt;script&gt;document.title='owned'&lt;/script&gt;"), "{page}");
    assert!(page.contains("&amp;lt;b&amp;gt;"), "{page}");
    assert!(!page.contains('\u{202e}') && !page.contains('\u{1b}') && page.contains('\u{fffd}'), "{page}");
    assert!(
        page.contains(&repo.head()[..10]) && page.contains(&format!("title=\"{}\"", repo.head())),
        "{page}"
    );
    assert!(page.contains("<strong>ok</strong>, fresh"), "{page}");
    let picture = fs::read(picture).unwrap();
    assert!(picture.starts_with(b"\x89PNG") && picture.len() > 20_000, "{} bytes", picture.len());
}

#[test]
fn browsers_get_a_page_that_may_load_nothing_and_scripts_get_json() {
    let env = Env::new();
    let repo = env.repo("up");
    let port = free_port();
    let running = serving(&env, &repo, port).spawn();
    running.wait_for("published");
    let answer = |path: &str, accept: &str| {
        let output = Command::new("curl")
            .args(["--silent", "--include", "--header", &format!("Accept: {accept}")])
            .arg(format!("http://127.0.0.1:{port}{path}"))
            .output();
        text(&output.unwrap().stdout)
    };
    let page = answer("/status", "text/html,application/xhtml+xml,*/*;q=0.8");
    for header in [
        "content-security-policy: default-src 'none';",
        "x-content-type-options: nosniff",
        "cache-control: no-store",
    ] {
        assert!(page.contains(header), "{header}: {page}");
    }
    assert!(
        page.contains("content-type: text/html") && !page.contains("<script") && !page.contains(" src="),
        "{page}"
    );
    for (path, accept) in [("/status", "*/*"), ("/status?format=json", "text/html")] {
        let json = answer(path, accept);
        let (_, body) = json.split_once("\r\n\r\n").unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok(), "{json}");
    }
    assert!(answer("/status?format=text", "*/*").contains("content-type: text/plain"));
    assert!(answer("/status?format=pdf", "*/*").contains(" 400 "));
}

#[test]
fn status_prints_the_same_on_a_terminal_and_its_exit_code_says_whether_it_is_fresh() {
    let env = Env::new();
    let repo = env.repo("up");
    let port = free_port();
    let ask = |operands: &[&str]| {
        let status = Syncline::new().arg("status").env("GITSYNC_HTTP_BIND", format!(":{port}"));
        operands.iter().fold(status, |status, operand| status.arg(operand)).run()
    };
    let nobody = ask(&[]);
    assert!(nobody.code == Some(2) && nobody.stderr.contains("/status"), "{}", nobody.stderr);
    let running = serving(&env, &repo, port).arg("--stale-after=500ms").spawn();
    running.wait_for("published");
    let fresh = eventually("freshness", || Some(ask(&[])).filter(|done| done.code == Some(0)));
    for text in [&repo.head(), repo.url(), "ok, fresh", "Last attempts", "published"] {
        assert!(fresh.stdout.contains(text), "{text}: {}", fresh.stdout);
    }
    assert_eq!(ask(&[&format!("http://127.0.0.1:{port}")]).code, Some(0));
    fs::rename(&repo.path, env.path("away")).unwrap();
    let stale = eventually("staleness", || Some(ask(&[])).filter(|done| done.code == Some(1)));
    assert!(
        stale.stdout.contains("stale: the last success was") && stale.stdout.contains("Last error:"),
        "{}",
        stale.stdout
    );
    let wrong = Syncline::new().arg("status").run();
    assert!(wrong.code == Some(1) && wrong.stderr.contains("--http-bind"), "{}", wrong.stderr);
}

#[test]
fn the_page_of_many_repositories_lists_them_and_leads_to_each() {
    use crate::support::many::{Many, entry, file};
    let (many, [good, bad]) = Many::with(["good", "bad"]);
    fs::rename(&bad.path, many.env.path("away")).unwrap();
    let port = free_port();
    let entries = [entry("good", good.url(), ""), entry("bad", bad.url(), "")];
    let process = format!("http-bind: '127.0.0.1:{port}'\ngroups: {{all: {{members: [good]}}}}");
    let _running = many.spawn(file(&process, "period: 50ms", &entries));
    many.wait_for("good", &good.head());
    let page = || get(port, "/status?format=html").1;
    let page = eventually("both states", || Some(page()).filter(|page| page.contains("failing, stale")));
    assert!(page.contains("<a href=\"/status/good\">good</a>") && page.contains("<h2>Groups</h2>"), "{page}");
    let one = get(port, "/status/good?format=html").1;
    assert!(one.contains("<h1>good</h1>") && one.contains(&good.head()), "{one}");
    assert_eq!(get(port, "/status/none?format=html").0, 404);
    let status = |operands: &[&str]| {
        let status =
            operands.iter().fold(Syncline::new().arg("status"), |status, operand| status.arg(operand));
        status.arg(format!("--config={}", many.file().display())).run()
    };
    let (all, one) = (status(&[]), status(&["good"]));
    assert!(
        all.code == Some(1) && all.stdout.contains("good") && all.stdout.contains("bad"),
        "{}",
        all.stdout
    );
    assert!(one.code == Some(0) && one.stdout.contains("Name:"), "{} {}", one.stdout, one.stderr);
    assert_eq!(status(&["none"]).code, Some(2));
}
