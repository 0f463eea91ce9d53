//! sync-core's `Mirror`, as a program that embeds it uses it.

use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use sync_core::ChangeKind::{Added, Modified, Removed};
use sync_core::{
    Auth, Candidate, ChangeKind, CommitId, CredentialProvider, Credentials, Decision, Depth, Error,
    ErrorKind, Interrupt, Login, Look, Mirror, MirrorBuilder, Pool, Publisher, Received, Recovery, Resources,
    Scope, Severity, Source, Store, SyncOutcome, Update, Worktree,
};

use crate::support::*;

const fn is_sendable<T: Send>() {}
const fn is_usual_error<T: std::error::Error + Send + Sync + 'static>() {}

/// A mirror may work on any thread, and its errors fit into those of others.
const _: () = {
    is_sendable::<Mirror>();
    is_sendable::<SyncOutcome>();
    is_usual_error::<Error>();
    is_usual_error::<sync_core::ParseError>();
};

fn builder(url: &str) -> MirrorBuilder {
    Mirror::builder(Source::new(url.parse().unwrap(), "main".parse().unwrap()))
}

#[track_caller]
fn updated(mirror: &mut Mirror) -> Update {
    match mirror.sync().unwrap() {
        SyncOutcome::Updated(update) => *update,
        outcome => panic!("{outcome:?}"),
    }
}

#[track_caller]
fn unchanged(mirror: &mut Mirror) -> String {
    match mirror.sync().unwrap() {
        SyncOutcome::Unchanged(commit) => commit.to_string(),
        outcome => panic!("{outcome:?}"),
    }
}

fn changes(update: &Update) -> Vec<(&str, ChangeKind)> {
    update.changes().iter().map(|change| (change.path().to_str().unwrap(), change.kind())).collect()
}

fn published(mirror: &Mirror) -> Option<String> {
    mirror.published().unwrap().map(|commit| commit.to_string())
}

/// Do a test with a local repository, and with one behind a server.
fn local_and_http(test: impl Fn(&Env, &Repo, &str)) {
    each_row(["file", "http"], |scheme| {
        let env = Env::new();
        let repo = env.repo("up");
        match scheme {
            "file" => test(&env, &repo, &format!("file://{}", repo.url())),
            _ => test(&env, &repo, &Nginx::start(&env.path("")).url("up/.git")),
        }
    });
}

#[test]
fn a_mirror_follows_a_branch_and_names_what_changed() {
    local_and_http(|env, repo, url| {
        let mut mirror = builder(url).open(env.root()).unwrap();
        assert_eq!(published(&mirror), None);
        let first = updated(&mut mirror);
        assert_eq!((first.commit().to_string(), first.previous()), (repo.head(), None));
        assert_eq!(changes(&first), []);
        assert_eq!(fs::read_to_string(first.path().join("file")).unwrap(), "one\n");
        assert_eq!(unchanged(&mut mirror), repo.head());

        fs::remove_file(repo.path.join("dir/other")).unwrap();
        repo.commit(&[("file", "two\n"), ("new/file", "new\n")]);
        let second = updated(&mut mirror);
        assert_eq!((second.commit().to_string(), second.previous()), (repo.head(), Some(first.commit())));
        assert_eq!(changes(&second), [("dir/other", Removed), ("file", Modified), ("new/file", Added)]);
        assert_eq!(fs::read_to_string(second.path().join("file")).unwrap(), "two\n");
        assert!(!second.path().join("dir").exists());
        env.assert_store_is_sound();

        drop(mirror);
        let mut mirror = builder(url).open(env.root()).unwrap();
        assert_eq!(published(&mirror), Some(repo.head()));
        assert_eq!(unchanged(&mut mirror), repo.head(), "another process finds all there");
    });
}

#[test]
fn a_guard_keeps_a_replaced_tree() {
    local_and_http(|env, repo, url| {
        let mut mirror = builder(url).open(env.root()).unwrap();
        let first = updated(&mut mirror);
        let (old, guard) = (first.path().join("file"), first.guard());
        drop(first);
        repo.commit(&[("file", "two\n")]);
        let unguarded = updated(&mut mirror).path().to_owned();
        repo.commit(&[("file", "three\n")]);
        updated(&mut mirror);
        assert_eq!(fs::read_to_string(&old).unwrap(), "one\n");
        assert!(!unguarded.exists());
        drop(guard);
        unchanged(&mut mirror);
        assert!(!old.exists());
    });
}

/// Shows a tree by its name in a file.
struct NameInFile {
    file: PathBuf,
    /// Whether the next tree is to be refused.
    refuses: Arc<AtomicBool>,
}

impl Publisher for NameInFile {
    fn path(&self) -> &Path {
        &self.file
    }

    fn named(&self, _: &Store) -> io::Result<Option<CommitId>> {
        Ok(fs::read_to_string(&self.file).ok().and_then(|name| name.parse().ok()))
    }

    fn prepare(&mut self, candidate: &Candidate<'_>, _: &Interrupt) -> sync_core::Result<Decision> {
        assert_eq!(candidate.reference, Some("refs/heads/main"));
        assert!(candidate.tree.path.join("file").exists(), "the tree is complete");
        match self.refuses.load(Ordering::SeqCst) {
            true => Err(Error::new(ErrorKind::Other, "prepare", "not now")),
            false => Ok(Decision::Publish),
        }
    }

    fn publish(&mut self, tree: &Worktree, _: &Interrupt) -> io::Result<()> {
        fs::write(&self.file, tree.commit.to_string())
    }
}

#[test]
fn a_publisher_of_ones_own_is_the_only_truth() {
    local_and_http(|env, repo, url| {
        let (file, refuses) = (env.path("current"), Arc::new(AtomicBool::new(false)));
        let publisher = NameInFile { file: file.clone(), refuses: refuses.clone() };
        let mut mirror = builder(url).publisher(publisher).open(env.root()).unwrap();
        updated(&mut mirror);
        let first = repo.head();
        assert_eq!(fs::read_to_string(&file).unwrap(), first);

        repo.commit(&[("file", "two\n")]);
        refuses.store(true, Ordering::SeqCst);
        assert_eq!(mirror.sync().unwrap_err().to_string(), "prepare: not now");
        assert_eq!(published(&mirror).as_deref(), Some(&*first));
        assert_eq!(fs::read_to_string(&file).unwrap(), first);
        refuses.store(false, Ordering::SeqCst);
        assert_eq!(updated(&mut mirror).commit().to_string(), repo.head());

        fs::remove_file(&file).unwrap();
        assert_eq!(published(&mirror), None);
        mirror.sync().unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), repo.head(), "what was lost is shown again");
    });
}

#[test]
fn a_verifier_refuses_a_commit_before_it_is_checked_out() {
    local_and_http(|env, repo, url| {
        let verifier = |received: &Received| match received.commit_object().ends_with(b"\nrelease\n") {
            true => Ok(Vec::new()),
            false => Err(Error::new(ErrorKind::Rejected, "verify", received.commit())),
        };
        repo.git(&["commit", "--quiet", "--amend", "--message=release"]);
        let mut mirror = builder(url).verifier(verifier).open(env.root()).unwrap();
        let good = updated(&mut mirror);

        let bad = repo.commit(&[("file", "two\n")]);
        for _ in 0..2 {
            let err = mirror.sync().unwrap_err();
            assert_eq!((err.kind(), err.recovery()), (ErrorKind::Rejected, Recovery::Reconfigure));
            assert_eq!(err.to_string(), format!("verify: {bad}"));
            assert_eq!(mirror.published().unwrap(), Some(good.commit()));
            assert_eq!(mirror.store().trees().unwrap(), [good.commit()]);
        }
        assert_eq!(fs::read_to_string(good.path().join("file")).unwrap(), "one\n");

        repo.git(&["commit", "--quiet", "--amend", "--message=release"]);
        assert_eq!(updated(&mut mirror).commit().to_string(), repo.head());
    });
}

#[test]
fn a_damaged_store_is_rebuilt_within_the_same_call() {
    local_and_http(|env, repo, url| {
        let (notices, noticed) = mpsc::channel();
        let mut mirror = builder(url)
            .observer(move |notice| notices.send((notice.severity, notice.to_string())).unwrap())
            .open(env.root())
            .unwrap();
        updated(&mut mirror);
        assert_eq!(noticed.try_iter().count(), 0);

        cut_packs(&env.root().join(".git"), |length| length / 2);
        repo.commit(&[("file", "two\n")]);
        mirror.verify_next_time();
        assert_eq!(updated(&mut mirror).commit().to_string(), repo.head());
        let noticed: Vec<_> = noticed.try_iter().collect();
        assert!(
            noticed.iter().any(|(severity, text)| {
                *severity == Severity::Warning && text.contains("fetching") && text.contains("again")
            }),
            "{noticed:?}"
        );
        assert_eq!(unchanged(&mut mirror), repo.head());
        env.assert_store_is_sound();
    });
}

#[test]
fn a_root_has_one_owner() {
    let env = Env::new();
    let repo = env.repo("up");
    let mut mirror = builder(repo.url()).open(env.root()).unwrap();
    let err = builder(repo.url()).open(env.root()).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Busy);
    assert!(err.to_string().contains(&std::process::id().to_string()), "{err}");
    updated(&mut mirror);
    drop(mirror);
    unchanged(&mut builder(repo.url()).open(env.root()).unwrap());
}

#[test]
fn a_deadline_and_another_thread_stop_a_sync() {
    let env = Env::new();
    let repo = env.repo("up");
    repo.commit_incompressible(1 << 20);
    let nginx = Nginx::start(&env.path(""));
    let meddler = Meddler::start(nginx.port(), Trouble::None);
    let interrupt = Interrupt::new();
    let mut mirror =
        builder(&meddler.url("http", "up/.git")).interrupt(interrupt.clone()).open(env.root()).unwrap();
    let delay = Duration::from_millis(200);
    for bytes in [0, 600, 200_000] {
        meddler.set(Trouble::Stall(bytes));
        let started = Instant::now();
        interrupt.set_deadline(move || started.elapsed() >= delay);
        let err = mirror.sync().unwrap_err();
        assert_eq!((err.kind(), err.recovery()), (ErrorKind::TimedOut, Recovery::Retry), "{err}");
        assert!(started.elapsed() < SOON, "{bytes}: {:?}", started.elapsed());
        interrupt.clear();

        let started = Instant::now();
        let err = thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(delay);
                interrupt.trigger();
            });
            mirror.sync().unwrap_err()
        });
        assert_eq!((err.kind(), err.recovery()), (ErrorKind::Cancelled, Recovery::Retry), "{err}");
        assert!(started.elapsed() < SOON, "{bytes}: {:?}", started.elapsed());
        interrupt.clear();
        env.assert_no_leftovers();
    }
    meddler.set(Trouble::None);
    assert_eq!(updated(&mut mirror).commit().to_string(), repo.head());
}

#[test]
fn what_is_not_there_is_not_found() {
    local_and_http(|env, repo, url| {
        let other = url.replace("up", "no-such-repository");
        let commit = "1".repeat(40);
        for (url, reference, named) in [
            (url, "no-such-branch", "no-such-branch"),
            (url, &commit, &commit),
            (&other, "main", "no-such-repository"),
        ] {
            let source = Source::new(url.parse().unwrap(), reference.parse().unwrap());
            let err = Mirror::builder(source).open(env.root()).unwrap().sync().unwrap_err();
            assert_eq!((err.kind(), err.recovery()), (ErrorKind::NotFound, Recovery::Reconfigure), "{err}");
            assert!(err.to_string().contains(named), "{err}");
        }
        let mut mirror = builder(url).open(env.root()).unwrap();
        assert_eq!(updated(&mut mirror).commit().to_string(), repo.head());
    });
}

#[test]
fn a_mirror_can_follow_another_reference() {
    local_and_http(|env, repo, url| {
        let old = repo.head();
        repo.git(&["tag", "--annotate", "--message=v1", "v1"]);
        let main = repo.commit(&[("file", "two\n")]);
        repo.git(&["checkout", "--quiet", "-b", "other"]);
        let other = repo.commit(&[("file", "three\n")]);
        let mut mirror = builder(url).open(env.root()).unwrap();
        updated(&mut mirror);
        for (reference, commit) in
            [("other", &other), ("v1", &old), ("refs/heads/main", &main), (&*old, &old)]
        {
            mirror.set_reference(reference.parse().unwrap());
            let update = updated(&mut mirror);
            assert_eq!(
                (update.commit().to_string(), published(&mirror)),
                (commit.clone(), Some(commit.clone()))
            );
            assert_eq!(changes(&update), [("file", Modified)], "{reference}");
        }
        mirror.set_reference("no-such-branch".parse().unwrap());
        assert_eq!(mirror.sync().unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(published(&mirror), Some(old), "what was published stays");
        env.assert_store_is_sound();
    });
}

/// Shows a wrong password until it is asked for another.
struct Passwords {
    scope: Scope,
    is_right: bool,
    renewed: Arc<AtomicUsize>,
}

impl CredentialProvider for Passwords {
    fn credentials(&mut self) -> sync_core::Result<Credentials> {
        let password = if self.is_right { "p@ss" } else { "wrong" };
        let login = Login { scope: self.scope.clone(), auth: Auth::basic("user", password) };
        let mut credentials = Credentials::default();
        credentials.logins.push(login);
        Ok(credentials)
    }

    fn renew(&mut self) -> bool {
        self.renewed.fetch_add(1, Ordering::SeqCst);
        !std::mem::replace(&mut self.is_right, true)
    }
}

#[test]
fn a_refused_login_is_renewed_once_within_the_same_call() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let url = nginx.url("login/up/.git");
    let err = builder(&url).open(env.root()).unwrap().sync().unwrap_err();
    assert_eq!((err.kind(), err.recovery()), (ErrorKind::Login, Recovery::Login), "{err}");

    let scope = Scope::Beginning(nginx.url("login").parse().unwrap());
    let renewed = Arc::new(AtomicUsize::new(0));
    let passwords = Passwords { scope, is_right: false, renewed: renewed.clone() };
    let mut mirror = builder(&url).credentials(passwords).open(env.root()).unwrap();
    assert_eq!(updated(&mut mirror).commit().to_string(), repo.head());
    unchanged(&mut mirror);
    assert_eq!(renewed.load(Ordering::SeqCst), 1);
}

#[test]
fn hundreds_of_updates_leave_a_small_store() {
    local_and_http(|env, repo, url| {
        let mut mirror = builder(url).open(env.root()).unwrap();
        updated(&mut mirror);
        let mut most_packs = 0;
        for commit in line(repo, 200) {
            repo.git(&["update-ref", "refs/heads/main", &commit]);
            assert_eq!(updated(&mut mirror).commit().to_string(), commit);
            most_packs = most_packs.max(env.packs().len());
        }
        assert!(most_packs <= 41, "{most_packs} packs");
        assert_eq!(mirror.store().trees().unwrap(), [mirror.published().unwrap().unwrap()]);
        let (mut files, mut bytes) = (0, 0);
        walk(&env.root(), &mut |path| {
            let found = path.symlink_metadata().unwrap();
            files += 1;
            bytes += if found.is_file() { found.len() } else { 0 };
        });
        assert!(files < 300 && bytes < 1 << 20, "{files} files, {bytes} bytes");
        env.assert_store_is_sound();
        env.assert_no_leftovers();
    });
}

#[test]
fn with_all_history_a_large_pack_stays_as_it_is() {
    local_and_http(|env, repo, url| {
        repo.commit_incompressible(1 << 20);
        let mut source = Source::new(url.parse().unwrap(), "main".parse().unwrap());
        source.depth = Depth::FULL;
        let mut mirror = Mirror::builder(source).open(env.root()).unwrap();
        updated(&mut mirror);
        let large = env.packs();
        let written = |pack: &Path| pack.metadata().unwrap().modified().unwrap();
        let before = written(&large[0]);
        let mut follow = |expected: usize| {
            for commit in line(repo, 60) {
                repo.git(&["update-ref", "refs/heads/main", &commit]);
                assert_eq!(updated(&mut mirror).commit().to_string(), commit);
                assert!(env.packs().len() <= 40);
            }
            assert_eq!(written(&large[0]), before);
            let tree = mirror.store().tree_path(mirror.published().unwrap().unwrap());
            assert_eq!(git(&tree, &["rev-list", "--count", "HEAD"]), expected.to_string());
            env.assert_store_is_sound();
        };
        let first = repo.head();
        follow(62);
        follow(122);
        let log = fs::read_to_string(env.root().join(".git/logs/refs/heads/git-sync")).unwrap();
        assert!(log.lines().count() < 45, "{log}");

        // What a forced push replaced goes with the next repack.
        let replaced = repo.head();
        repo.git(&["reset", "--hard", &first]);
        repo.commit(&[("file", "other\n")]);
        for commit in line(repo, 41) {
            repo.git(&["update-ref", "refs/heads/main", &commit]);
            updated(&mut mirror);
        }
        let objects = ["cat-file", "--batch-check", "--batch-all-objects"];
        assert!(!git(&env.root().join(".git"), &objects).contains(&replaced));
        env.assert_store_is_sound();
        env.assert_no_leftovers();
    });
}

#[test]
fn after_a_repack_that_timed_out_small_packs_are_repacked() {
    local_and_http(|env, repo, url| {
        repo.commit_incompressible(1 << 20);
        let interrupt = Interrupt::new();
        let mut mirror = builder(url).interrupt(interrupt.clone()).open(env.root()).unwrap();
        let commits = line(repo, 44);
        let mut update = |commit: &str, is_late: bool| {
            repo.git(&["update-ref", "refs/heads/main", commit]);
            let SyncOutcome::Updated(update) = mirror.update().unwrap() else {
                panic!("{commit} was not published")
            };
            if is_late {
                interrupt.trigger(); // as the program does when a sync takes too long
            }
            mirror.maintain(update.commit());
            interrupt.clear();
            env.packs().len()
        };
        for (number, commit) in commits[..40].iter().enumerate() {
            assert_eq!(update(commit, false), number + 1);
        }
        assert_eq!(update(&commits[40], true), 41, "the repack is late");
        assert_eq!(update(&commits[41], false), 2, "the large pack, and the small ones as one");
        env.assert_store_is_sound();
        assert_eq!(update(&commits[42], false), 3);
        env.assert_store_is_sound();

        repo.git(&["reset", "--hard", &commits[42]]);
        let large = noise(7, 3 << 20);
        repo.write("large", &large);
        let commit = repo.commit(&[]);
        update(&commit, false);
        repo.git(&["rm", "--quiet", "-r", "large"]);
        let commit = repo.commit(&[]);
        assert_eq!(update(&commit, false), 1, "the store has grown by half");
        env.assert_store_is_sound();
    });
}

/// So many commits, one after the other, each of which changes a file.
fn line(repo: &Repo, length: usize) -> Vec<String> {
    let mut stream = String::new();
    let before: usize = repo.git(&["log", "-1", "--format=%ct"]).parse().unwrap();
    for number in 1..=length {
        stream += &format!(
            "commit refs/heads/main\ncommitter C <c@example.com> {} +0000\ndata 0\n{}\
             M 100644 inline file\ndata <<EOF\n{number}\nEOF\n",
            before + number,
            if number == 1 { "from refs/heads/main^0\n" } else { "" },
        );
    }
    let first = repo.head();
    git_with_input(&repo.path, &["fast-import", "--quiet"], &stream);
    let commits = repo.git(&["rev-list", "--reverse", &format!("{first}..main")]);
    commits.lines().map(str::to_owned).collect()
}

#[test]
fn a_look_needs_no_permit_and_what_follows_from_it_does() {
    local_and_http(|env, repo, url| {
        let pool = Pool::new(Resources::default(), NonZeroUsize::MIN);
        let mut mirror = builder(url).pool(&pool).open(env.root()).unwrap();
        let taken = pool.permit().wait(&Interrupt::new()).unwrap();
        let Look::Found(found) = mirror.look().unwrap() else { panic!("there is something to fetch") };
        let waits = {
            let (pool, interrupt) = (pool.clone(), mirror.interrupt().clone());
            thread::spawn(move || pool.permit().wait(&interrupt))
        };
        eventually("a wait", || (pool.waiting() == 1).then_some(()));
        drop(taken);
        let permit = waits.join().unwrap().unwrap();
        assert_eq!((pool.working(), pool.waiting()), (1, 0));
        let outcome = mirror.apply(found, permit).unwrap();
        assert!(matches!(&outcome, SyncOutcome::Updated(_)), "{outcome:?}");
        assert_eq!(pool.working(), 0, "the permit is given back");

        let _taken = pool.permit().wait(&Interrupt::new()).unwrap();
        let looked = mirror.look().unwrap();
        assert!(
            matches!(looked, Look::UpToDate(SyncOutcome::Unchanged(commit)) if commit.to_string() == repo.head())
        );
        repo.commit(&[("file", "two\n")]);
        let (pool, interrupt) = (pool.clone(), mirror.interrupt().clone());
        let stop = thread::spawn(move || {
            eventually("a wait", || (pool.waiting() == 1).then_some(()));
            interrupt.trigger();
        });
        let err = mirror.update().unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Cancelled, "a wait for a permit can be interrupted: {err}");
        stop.join().unwrap();
    });
}

#[test]
fn mirrors_of_a_pool_take_turns() {
    let env = Env::new();
    let pool = Pool::new(Resources::default(), NonZeroUsize::MIN);
    let repos: Vec<Repo> = (0..4).map(|number| env.repo(&format!("up{number}"))).collect();
    let most = AtomicUsize::new(0);
    thread::scope(|scope| {
        for (number, repo) in repos.iter().enumerate() {
            let mut mirror =
                builder(repo.url()).pool(&pool).open(env.path(&format!("root{number}"))).unwrap();
            let (most, pool) = (&most, &pool);
            scope.spawn(move || {
                for _ in 0..3 {
                    let before = published(&mirror);
                    assert_ne!(before, Some(updated(&mut mirror).commit().to_string()));
                    most.fetch_max(pool.working(), Ordering::SeqCst);
                    repo.commit(&[("file", &format!("{before:?}\n"))]);
                }
            });
        }
    });
    assert!(most.into_inner() <= 1);
    assert_eq!((pool.working(), pool.waiting()), (0, 0));
}

/// Shows a tree by its name in a file, when it is told to.
struct Deferring {
    file: NameInFile,
    /// The commits that consumers read besides.
    in_use: Arc<Mutex<Vec<CommitId>>>,
}

impl Publisher for Deferring {
    fn path(&self) -> &Path {
        self.file.path()
    }

    fn named(&self, store: &Store) -> io::Result<Option<CommitId>> {
        self.file.named(store)
    }

    fn prepare(&mut self, candidate: &Candidate<'_>, interrupt: &Interrupt) -> sync_core::Result<Decision> {
        self.file.prepare(candidate, interrupt).map(|_| Decision::Defer)
    }

    fn publish(&mut self, tree: &Worktree, interrupt: &Interrupt) -> io::Result<()> {
        self.file.publish(tree, interrupt)
    }

    fn in_use(&self, _: &Store) -> io::Result<Vec<CommitId>> {
        Ok(self.in_use.lock().unwrap().clone())
    }
}

#[test]
fn a_publisher_may_defer_a_commit_and_name_other_trees_that_are_read() {
    local_and_http(|env, repo, url| {
        let (refuses, in_use) = (Arc::default(), Arc::<Mutex<Vec<CommitId>>>::default());
        let file = NameInFile { file: env.path("current"), refuses };
        let publisher = Deferring { file, in_use: in_use.clone() };
        let mut mirror = builder(url).publisher(publisher).open(env.root()).unwrap();
        let commit = |id: String| id.parse::<CommitId>().unwrap();
        let first = commit(repo.head());
        let ready = |outcome| match outcome {
            SyncOutcome::Ready { commit, published } => (commit, published),
            outcome => panic!("{outcome:?}"),
        };
        for _ in 0..3 {
            assert_eq!(ready(mirror.sync().unwrap()), (first, None));
        }
        assert_eq!(published(&mirror), None);
        assert!(mirror.store().tree_path(first).join("file").exists());
        let outcome = mirror.publish_ready(first).unwrap();
        assert!(matches!(outcome, SyncOutcome::Updated(update) if update.commit() == first));
        assert_eq!(unchanged(&mut mirror), first.to_string());

        // The tree that is replaced stays as long as it is in use, and so does the one that is ready.
        let second = commit(repo.commit(&[("file", "two\n")]));
        in_use.lock().unwrap().push(first);
        assert_eq!(ready(mirror.sync().unwrap()), (second, Some(first)));
        mirror.publish_ready(second).unwrap();
        mirror.maintain(second);
        let third = commit(repo.commit(&[("file", "three\n")]));
        assert_eq!(ready(mirror.sync().unwrap()), (third, Some(second)));
        for (commit, text) in [(first, "one\n"), (second, "two\n"), (third, "three\n")] {
            assert_eq!(fs::read_to_string(mirror.store().tree_path(commit).join("file")).unwrap(), text);
        }
        in_use.lock().unwrap().clear();
        mirror.publish_ready(third).unwrap();
        mirror.maintain(third);
        assert!(!mirror.store().tree_path(first).exists());
        let unknown = "f".repeat(40).parse().unwrap();
        assert_eq!(mirror.publish_ready(unknown).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(unchanged(&mut mirror), third.to_string());
        env.assert_store_is_sound();
    });
}
