//! Limits count what pointers stand for, before anything is asked for.

use std::fs;

use crate::support::lfs::*;
use crate::support::*;

/// A repository whose pointers name objects that nobody has.
struct Upstream {
    env: Env,
    repo: Repo,
    good: String,
    host: LfsHost,
}

impl Upstream {
    fn new() -> Upstream {
        let env = Env::new();
        let repo = env.pointer_repo("up");
        let good = repo.head();
        let host = LfsHost::start(&env.path(""));
        Upstream { env, repo, good, host }
    }

    /// The newest commit is refused with all of these words, as a first sync and as a change, and nothing is asked of
    /// the server for objects.
    #[track_caller]
    fn assert_refused(&self, words: &[&str], options: &[&str]) {
        let bad = self.repo.git(&["rev-parse", "refs/heads/main"]);
        for url in [self.host.url("up/.git"), self.repo.url().to_owned()] {
            let sync =
                || options.iter().fold(self.env.with_lfs(&url).arg("--sync-timeout=30s"), Syncline::arg);
            for is_first in [true, false] {
                let _ = fs::remove_dir_all(self.env.root());
                if !is_first {
                    self.repo.git(&["update-ref", "refs/heads/main", &self.good]);
                    self.env.with_lfs(&url).sync();
                    self.repo.git(&["update-ref", "refs/heads/main", &bad]);
                }
                let fault = fault(&sync().fail());
                for word in words {
                    assert!(fault.contains(word), "no {word:?} in {fault}");
                }
                assert_eq!(self.env.published().is_none(), is_first);
                self.env.assert_no_leftovers();
            }
        }
        assert_eq!(self.host.batches(), 0);
    }

    fn commit_pointers(&self, pointers: &[(&str, u64)]) {
        self.repo.git(&["reset", "--quiet", "--hard", &self.good]);
        for (file, size) in pointers {
            self.repo.write(file, pointer_to(&sha256(file), *size));
        }
        self.repo.commit(&[]);
    }
}

#[test]
fn a_file_counts_with_its_real_size() {
    let up = Upstream::new();
    up.commit_pointers(&[("dir/big.bin", 1001)]);
    up.assert_refused(
        &["\"dir/big.bin\"", "more than 1000 bytes", "max-blob-size"],
        &["--max-blob-size=1000"],
    );
    up.commit_pointers(&[("a.bin", i64::MAX as u64)]);
    up.assert_refused(&["\"a.bin\"", "more than 1 GiB", "max-blob-size"], &["--max-blob-size=1GiB"]);
}

#[test]
fn all_files_count_with_their_real_sizes() {
    let up = Upstream::new();
    up.commit_pointers(&[("a.bin", 500_000), ("b.bin", 500_000)]);
    up.assert_refused(&["more than 1000000 bytes", "max-tree-size"], &["--max-tree-size=1000000"]);
    // Sums beyond 64 bits.
    up.commit_pointers(&[("a.bin", i64::MAX as u64), ("b.bin", i64::MAX as u64), ("c.bin", i64::MAX as u64)]);
    up.assert_refused(&["max-tree-size"], &["--max-tree-size=1TiB", "--max-blob-size=none"]);
}

/// Without any limit that somebody set, the disk is one.
#[test]
fn what_does_not_fit_on_the_disk_is_refused_before_it_is_asked_for() {
    let up = Upstream::new();
    for size in [1 << 50, i64::MAX as u64] {
        up.commit_pointers(&[("a.bin", size)]);
        up.assert_refused(&["a.bin"], &[]);
    }
}

/// What patterns leave out counts as the pointer that it is, and what is there once counts for every name.
#[test]
fn only_what_is_to_be_fetched_counts() {
    let up = Upstream::new();
    let pointer = up.repo.add_lfs_object(noise(1, 100_000));
    up.commit_pointers(&[("out/big.bin", 1 << 50)]);
    for file in ["a.bin", "b.bin"] {
        up.repo.write(file, &pointer);
    }
    up.repo.commit(&[]);
    let size =
        fs::metadata(up.repo.path.join("out/big.bin")).unwrap().len() + TRACKED.len() as u64 + 10 + 200_000;
    let syncline = |size: u64| {
        let syncline = up.env.with_lfs(up.host.url("up/.git")).arg("--lfs-exclude=out");
        syncline.arg(format!("--max-tree-size={size}"))
    };
    let fault = fault(&syncline(size - 1).fail());
    assert!(fault.contains("max-tree-size"), "{fault}");
    assert_eq!(up.host.batches(), 0);
    syncline(size).sync();
    up.env.assert_file("b.bin", noise(1, 100_000));
}

/// Trees of the same few blobs, a thousand files in each.
fn commit_many(up: &Upstream, directories: usize, pointers: &[String]) {
    up.repo.git(&["reset", "--quiet", "--hard", &up.good]);
    let blobs: Vec<String> = pointers.iter().map(|text| up.repo.blob(text)).collect();
    let names: Vec<String> = (0..1000).map(|number| format!("{number:03}.bin")).collect();
    let entries: Vec<RawEntry<'_>> = names
        .iter()
        .enumerate()
        .map(|(at, name)| ("100644", name.as_bytes(), blobs[at % blobs.len()].as_str()))
        .collect();
    let tree = up.repo.raw_tree(&entries);
    let names: Vec<String> = (0..directories).map(|number| format!("d{number:04}")).collect();
    let attributes = up.repo.blob(TRACKED);
    let mut entries: Vec<RawEntry<'_>> = vec![("100644", b".gitattributes", &attributes)];
    entries.extend(names.iter().map(|name| ("40000", name.as_bytes(), tree.as_str())));
    up.repo.commit_tree(&up.repo.raw_tree(&entries));
}

#[test]
fn many_pointers_to_one_object_are_one_request() {
    let up = Upstream::new();
    let pointer = up.repo.add_lfs_object("content\n");
    commit_many(&up, 20, &[pointer]);
    up.env.with_lfs(up.host.url("up/.git")).sync();
    assert_eq!((up.host.batches(), up.host.objects().len()), (1, 1));
    up.env.assert_file("d0019/999.bin", "content\n");
    assert_eq!(git(&up.env.link(), &["status", "--porcelain"]), "");
    // A million of them are bounded as all files are.
    commit_many(&up, 1000, &[up.repo.add_lfs_object("another\n")]);
    let fault = fault(&up.env.with_lfs(up.host.url("up/.git")).arg("--max-files=500000").fail());
    assert!(fault.contains("more than 500000 files") && fault.contains("max-files"), "{fault}");
    assert_eq!((up.host.batches(), up.host.objects().len()), (1, 1));
}

#[test]
fn many_pointers_to_many_objects_are_bounded_by_the_number_of_files() {
    let up = Upstream::new();
    let pointers: Vec<String> = (0..1000).map(|number| pointer_to(&sha256(number.to_string()), 10)).collect();
    commit_many(&up, 1, &pointers);
    up.assert_refused(&["more than 900 files", "max-files"], &["--max-files=900"]);
    // And the first that is missing is enough.
    let fault = fault(&up.env.with_lfs(up.host.url("up/.git")).fail());
    assert!(fault.contains("d0000/000.bin") && fault.contains("404"), "{fault}");
    assert!(up.host.batches() <= 10, "{}", up.host.batches());
}

/// Files of git-lfs pass through in pieces.
#[test]
fn large_files_take_no_more_memory_than_small_ones() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    let host = LfsHost::start(&env.path(""));
    // The most that was ever resident, in kB.
    let sync = |commit: &str| -> usize {
        let running = env.with_lfs(host.url("up/.git")).arg("--period=1h").spawn();
        eventually("publication", || (env.published()? == commit).then_some(()));
        let status = fs::read_to_string(format!("/proc/{}/status", running.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let small = sync(&repo.head());
    for number in 0..4 {
        repo.write(&format!("{number}.bin"), vec![number; 30 << 20]);
    }
    let commit = repo.commit(&[]);
    for is_first in [false, true] {
        if is_first {
            fs::remove_dir_all(env.root()).unwrap();
        }
        let large = sync(&commit);
        assert!(large < small + (10 << 10), "{large} kB, where {small} are usual");
        env.assert_lfs_shown(&repo, &commit);
    }
}
