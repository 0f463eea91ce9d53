//! The README's commands, as they stand in the file.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::support::*;

/// What cannot be run here as it is has a stand-in: a build of what is built already, and the tests themselves.
const STAND_INS: [(&str, &str); 2] = [
    (
        "cargo",
        r#"case "$*" in
            "run --release -- "*) shift 3; exec syncline "$@" ;;
            "run --example ci_checkout -- "*) shift 4; exec "$CI_CHECKOUT" "$@" ;;
            *) exit 1 ;;
        esac"#,
    ),
    ("docker", r#"[ "$1" = build ] && [ -f "${@: -1}/Dockerfile" ]"#),
];

/// Where the commands write, besides /srv; nothing of it is seen outside of the test.
const TEMPORARY: &str = "/tmp/syncline /tmp/checkout";

/// The lines of all blocks of a language.
fn code<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let mut lines = text.lines();
    let mut code = Vec::new();
    while lines.any(|line| line.strip_prefix("```") == Some(language)) {
        code.extend(lines.by_ref().take_while(|line| *line != "```"));
    }
    code
}

fn script(path: &Path, text: &str) {
    write_program(path, format!("#!/bin/bash\n{text}\n"));
}

#[test]
fn the_readmes_commands_do_what_it_says() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = fs::read_to_string(project.join("README.md")).unwrap();
    let commands = code(&readme, "sh");
    assert!(commands.len() >= 7, "{commands:?}");
    let unshare = Command::new("unshare").args(["--mount", "true"]).status().unwrap();
    if !unshare.success() {
        return skip("no namespaces can be made without root");
    }
    let env = Env::new();
    // What is said of this repository is tried on one of its looks.
    let here = env.repo("here");
    for file in ["Dockerfile", "scripts/bench", "tests/run"] {
        assert!(project.join(file).exists(), "{file}");
        fs::create_dir_all(here.path.join(file).parent().unwrap()).unwrap();
        script(&here.path.join(file), "exit 0");
    }
    let site = env.repo("site.git");
    let nginx = Nginx::start(&env.path(""));
    let guide = Guide::start(nginx.tls_port());
    let bin = env.path("bin");
    fs::create_dir(&bin).unwrap();
    for (name, text) in STAND_INS {
        script(&bin.join(name), text);
    }
    symlink(binary(), bin.join("syncline")).unwrap();
    let script = format!(
        "set -euo pipefail\nfor dir in /srv {TEMPORARY}; do mount -t tmpfs none $dir; done\n{}\n\
         readlink /tmp/syncline/here\ncat /srv/site/site.git/file\ncat $(ls -d /tmp/checkout/.worktrees/*)/file",
        commands.join("\n"),
    );
    let dirs = TEMPORARY.split(' ').filter(|dir| fs::create_dir(dir).is_ok()).collect::<Vec<_>>();
    let output = Command::new("unshare")
        .args(["--mount", "bash", "-c", &script])
        .current_dir(&here.path)
        .env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()))
        .env("CI_CHECKOUT", example("ci_checkout"))
        .env("HTTPS_PROXY", guide.url())
        .env("SSL_CERT_FILE", nginx.ca_file())
        .output()
        .unwrap();
    dirs.iter().for_each(|dir| fs::remove_dir(dir).unwrap());
    let shown = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{shown}");
    let lines: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
    let last = &lines[lines.len() - 3..];
    assert_eq!(last[0], format!(".worktrees/{}", here.head()), "{shown}");
    assert_eq!(last[1..], ["one", "one"], "{shown}");
    assert!(shown.contains(&format!("commit {}", site.head())), "{shown}");
}

/// Lists of repositories, as `--config` reads them.
#[test]
fn the_documents_show_files_that_have_no_fault() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let env = Env::new();
    let mut count = 0;
    for document in ["README.md", "docs/many-repositories.md", "docs/systemd.md"] {
        let shown = fs::read_to_string(project.join(document)).unwrap();
        let blocks = shown.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
        for block in blocks.filter(|block| block.contains("repos:")) {
            fs::write(env.path("config.yaml"), block).unwrap();
            let mut check = Command::new(binary());
            check.arg("--config").arg(env.path("config.yaml")).args(["--root=/srv/git", "--config-check"]);
            let output = check.output().unwrap();
            assert!(output.status.success(), "{document}: {}", text(&output.stderr));
            count += 1;
        }
    }
    assert!(count >= 5, "{count}");
}

/// The compiler checks the documentation.
#[test]
fn the_readmes_show_the_code_of_the_documentation() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |file: &str| fs::read_to_string(project.join(file)).unwrap();
    let documentation = read("crates/sync-core/src/mirror/mod.rs").replace("/// ", "").replace("///", "");
    for readme in ["README.md", "crates/sync-core/README.md"] {
        let shown = read(readme);
        let shown = code(&shown, "rust");
        assert!(!shown.is_empty() && documentation.contains(&shown.join("\n")), "{readme}: {shown:#?}");
    }
}
