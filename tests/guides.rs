//! The commands of the tutorial and the guides, as they stand there. A block `sh` is run, and a block `text` right below it
//! is what it prints. A block `sh not-run` cannot run here. A block that begins with `# /etc/syncline/FILE` is that file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::*;

/// What is run, in this order.
const GUIDES: [&str; 11] = [
    "first-sync.md",
    "systemd.md",
    "many-repositories.md",
    "fleet.md",
    "push-hooks.md",
    "choosing.md",
    "rules.md",
    "signatures.md",
    "git-lfs.md",
    "publishing.md",
    "http.md",
];

/// What would run until it is stopped ends after one sync, unless the next command needs it.
const SYNCLINE: &str = r#"case " $* " in
    *" --one-time "* | *" --http-bind="* | *" --receive-bind="* | *" --relay-role=feed "*) ;;
    *) set -- "$@" --one-time ;;
esac
exec "$BINARY" "$@""#;

/// Where the commands may write, besides the directory that they run in; nothing of it is seen outside.
const DIRS: [&str; 2] = ["/srv", "/etc/syncline"];

/// What is printed between the output of two blocks.
const MARK: &str = "== the next block ==\n";

/// A block of code: what stands after the fence, and its text.
fn blocks(document: &str) -> Vec<(&str, String)> {
    let mut lines = document.lines();
    let mut blocks = Vec::new();
    while let Some(kind) = lines.find_map(|line| line.trim_start().strip_prefix("```")) {
        let code = lines.by_ref().take_while(|line| line.trim_start() != "```");
        blocks.push((kind, code.map(|line| format!("{line}\n")).collect()));
    }
    blocks
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

fn read(document: &str) -> String {
    fs::read_to_string(docs().join(document)).unwrap()
}

/// Everything that the commands of the guides meet.
struct Place {
    env: Env,
}

impl Place {
    /// With repositories in place of those at example.com, signed by the user's key.
    fn new() -> Place {
        let env = Env::new();
        for dir in ["bin", "home/.ssh", "work"] {
            fs::create_dir_all(env.path(dir)).unwrap();
        }
        write_program(env.path("bin/syncline"), format!("#!/bin/bash\n{SYNCLINE}\n"));
        // The program is built already.
        write_program(env.path("bin/cargo"), "#!/bin/bash\n[ \"$*\" = \"build --release\" ]\n");
        let key = env.path("home/.ssh/id_ed25519");
        let key = key.to_str().unwrap();
        keygen(&["-q", "-t", "ed25519", "-N", "", "-f", key]);
        for name in ["site.git", "models.git", "data/dags.git"] {
            let repo = env.repo(&format!("upstream/{name}"));
            let signing = ["-c", "gpg.format=ssh", "-c", &format!("user.signingKey={key}")];
            repo.git(&[&signing[..], &["commit", "--quiet", "--amend", "--no-edit", "--gpg-sign"]].concat());
            repo.git(&["tag", "v3.1.4"]);
        }
        Place { env }
    }

    /// Run the blocks of a document, and compare what they print; the error says what differs.
    fn run(&self, document: &str) -> Result<(), String> {
        let document_text = read(document);
        let blocks = blocks(&document_text);
        let run = format!("set -euo pipefail\nip link set lo up\n{}{}", mounts(), script(&blocks));
        let upstream = self.env.path("upstream").display().to_string();
        let instead = ["https://example.com/", "git@example.com:"]
            .map(|base| format!("\"url.file://{upstream}/.insteadOf\":\"{base}\""));
        let path = format!("{}:{}", self.env.path("bin").display(), std::env::var("PATH").unwrap());
        let output = Command::new("timeout")
            .args(["60", "unshare", "--mount", "--mount-proc", "--net", "--pid", "--fork", "--kill-child"])
            .args(["bash", "-c", &run])
            .current_dir(self.env.path("work"))
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.env.path("home"))
            .env("TMPDIR", self.env.path("work"))
            .env("BINARY", binary())
            .env("GITSYNC_GIT_CONFIG", instead.join(","))
            .output()
            .unwrap();
        let (printed, said) = (text(&output.stdout), text(&output.stderr));
        if !output.status.success() {
            return Err(format!("{document}: {}\n{printed}{said}", output.status));
        }
        let printed = printed.split(MARK).skip(1);
        for (number, (printed, expected)) in printed.zip(expected(&blocks)).enumerate() {
            if expected.is_some_and(|expected| !agree(printed, expected)) {
                return Err(format!("{document}: block {} prints\n{printed}{said}", number + 1));
            }
        }
        Ok(())
    }
}

fn mounts() -> String {
    DIRS.map(|dir| format!("mount -t tmpfs none {dir}\n")).concat()
}

/// One script of all blocks that are run.
fn script(blocks: &[(&str, String)]) -> String {
    let part = |(kind, code): &(&str, String)| match code.lines().next()?.strip_prefix("# ") {
        _ if *kind == "sh" => Some(format!("printf '%s' '{MARK}'\n{code}")),
        Some(file) if file.starts_with("/etc/syncline/") => {
            Some(format!("cat > {file} <<'END'\n{code}END\n"))
        }
        _ => None,
    };
    blocks.iter().filter_map(part).collect()
}

/// For each block that is run, what it prints, if the document says so.
fn expected<'a>(blocks: &'a [(&str, String)]) -> impl Iterator<Item = Option<&'a str>> {
    let next = blocks.iter().skip(1).map(Some).chain([None]);
    blocks.iter().zip(next).filter(|((kind, _), _)| *kind == "sh").map(|(_, next)| match next {
        Some(("text", text)) => Some(text.as_str()),
        _ => None,
    })
}

/// Whether a text is what is expected, where `…` stands for anything within a line.
fn agree(printed: &str, expected: &str) -> bool {
    let agree = |(printed, expected): (&str, &str)| match expected.split_once('…') {
        Some((start, end)) => printed.strip_prefix(start).is_some_and(|rest| rest.ends_with(end)),
        None => printed == expected,
    };
    printed.trim_end().lines().count() == expected.lines().count()
        && printed.lines().zip(expected.lines()).all(agree)
}

#[test]
fn the_guides_commands_do_what_they_say() {
    let unshare =
        Command::new("unshare").args(["--mount", "--net", "--pid", "--fork", "true"]).status().unwrap();
    if !unshare.success() {
        return skip("no namespaces can be made without root");
    }
    let made = DIRS.iter().filter(|dir| fs::create_dir(dir).is_ok()).collect::<Vec<_>>();
    let place = Place::new();
    let faults: Vec<_> = GUIDES.iter().filter_map(|document| place.run(document).err()).collect();
    made.iter().for_each(|dir| fs::remove_dir(dir).unwrap());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_command_of_the_guides_is_run_or_says_that_it_is_not() {
    let summary = read("SUMMARY.md");
    let parts =
        summary.split("\n# ").filter(|part| part.starts_with("Tutorial") || part.starts_with("How-to"));
    let guides: Vec<&str> =
        parts.flat_map(|part| part.split("](").skip(1)).filter_map(|rest| rest.split(')').next()).collect();
    assert!(guides.len() > 12, "{guides:?}");
    for guide in guides {
        let text = read(guide);
        let kinds: Vec<&str> = blocks(&text).iter().map(|(kind, _)| *kind).collect();
        assert!(!kinds.contains(&"bash") && !kinds.contains(&"shell"), "{guide}: a block of commands is sh");
        let has_commands = kinds.contains(&"sh");
        assert_eq!(
            has_commands,
            GUIDES.contains(&guide),
            "{guide}: list it in GUIDES if a block sh is in it"
        );
    }
}
