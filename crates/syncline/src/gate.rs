//! What runs before something is published, and may refuse it.

use std::io;
use std::path::Path;
use std::time::Duration;

use sync_core::{
    Candidate, CommitId, Decision, Error, ErrorKind, Interrupt, Progress, Publisher, Result, Signer, Stage,
    Store, Worktree,
};
use tokio::sync::watch;

use crate::groups::{Member, Shelf};
use crate::hooks::{Event, ExecHook, What, ask};

/// A publisher that is asked for only after the pre-publish exechook was told, or had to agree.
pub struct Gated {
    /// The publisher behind it.
    pub inner: Box<dyn Publisher>,
    /// Told, without waiting for it.
    pub told: Vec<watch::Sender<Option<Event>>>,
    /// Has to agree.
    pub gate: Option<ExecHook>,
    /// Idle while the program runs.
    pub progress: Progress,
    /// The name of the repository, if there are several.
    pub repo: Option<String>,
    /// The part in a group, if there is one. It decides when a commit is published.
    pub member: Option<Member>,
    /// The sets of trees that groups show.
    pub shelf: Option<Shelf>,
}

impl Publisher for Gated {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn named(&self, store: &Store) -> io::Result<Option<CommitId>> {
        self.inner.named(store)
    }

    fn current(&self, store: &Store) -> io::Result<Option<CommitId>> {
        self.inner.current(store)
    }

    fn is_intact(&self, tree: &Path, interrupt: &Interrupt) -> io::Result<bool> {
        self.inner.is_intact(tree, interrupt)
    }

    fn prepare(&mut self, candidate: &Candidate<'_>, interrupt: &Interrupt) -> Result<Decision> {
        let decision = self.inner.prepare(candidate, interrupt)?;
        let Candidate { tree, reference, signers, .. } = *candidate;
        let event = Event {
            what: What::Commit(tree.commit),
            tree: tree.path.clone(),
            repo: self.repo.clone(),
            reference: reference.map(ToOwned::to_owned),
            signer: signers.first().map(Signer::to_string),
        };
        for told in &self.told {
            told.send_replace(Some(event.clone()));
        }
        if let Some(gate) = &self.gate {
            self.progress.enter(Stage::Idle); // the hook's time is not ours
            // This thread may wait: it is not one of the runtime's.
            let asked = ask(gate, &event, interrupt);
            tokio::runtime::Handle::current().block_on(asked).map_err(|refusal| {
                let step = format!("ask the pre-publish exechook about {}", tree.commit);
                Error::new(ErrorKind::Rejected, step, refusal)
            })?;
        }
        let Some(member) = &self.member else { return Ok(decision) };
        let offered = member.offer(tree.commit);
        offered.map_err(|err| Error::io(format!("offer {} to the group", tree.commit), &err))
    }

    /// Old sets of groups lead to trees of this store.
    fn in_use(&self, store: &Store) -> io::Result<Vec<CommitId>> {
        let mut commits = self.inner.in_use(store)?;
        if let Some(shelf) = &self.shelf {
            commits.extend(shelf.in_use(store)?);
        }
        Ok(commits)
    }

    fn publish(&mut self, tree: &Worktree, interrupt: &Interrupt) -> io::Result<()> {
        self.inner.publish(tree, interrupt)
    }

    fn prune(&mut self, keep: Duration) -> io::Result<()> {
        self.inner.prune(keep)
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::spawn_blocking;

    use super::*;
    use crate::hooks::HookConfig;
    use crate::reader::tests::read;
    use sync_core::ConnectOptions;

    /// Shows nothing.
    struct Nowhere;

    impl Publisher for Nowhere {
        fn path(&self) -> &Path {
            Path::new("/nowhere")
        }

        fn named(&self, _: &Store) -> io::Result<Option<CommitId>> {
            Ok(None)
        }

        fn publish(&mut self, _: &Worktree, _: &Interrupt) -> io::Result<()> {
            Ok(())
        }
    }

    fn tree() -> Worktree {
        Worktree::new("a".repeat(40).parse().unwrap(), "/".into())
    }

    /// Ask a program with an argument whether the tree may be published.
    async fn ask(program: &str, argument: &str, interrupt: &Interrupt) -> Result<Decision> {
        let (command, argument) = (format!("={program}"), format!("={argument}"));
        let options = ["--pre-publish-exechook-command", "--pre-publish-exechook-arg"];
        let options = [options[0].to_owned() + &command, options[1].to_owned() + &argument];
        let more = ["--pre-publish-exechook-timeout=1h", "--pre-publish-exechook-required"];
        let options = [&options[0], &options[1], more[0], more[1]];
        let connect = ConnectOptions::default();
        let gate = read(&options, &[], |r| HookConfig::read(r, &connect, None).gate).unwrap();
        let (told, hears) = watch::channel(None);
        let progress = Progress::new();
        let inner = Box::new(Nowhere);
        let mut publisher =
            Gated { inner, told: vec![told], gate, progress, repo: None, member: None, shelf: None };
        let interrupt = interrupt.clone();
        let answer =
            spawn_blocking(move || publisher.prepare(&Candidate::new(&tree()), &interrupt)).await.unwrap();
        assert!(hears.borrow().as_ref().is_some_and(|event| event.commit() == Some(tree().commit)));
        answer
    }

    #[tokio::test]
    async fn a_program_decides_whether_a_tree_is_published() {
        let interrupt = Interrupt::new();
        ask("/bin/true", "x", &interrupt).await.unwrap();
        let err = ask("/bin/false", "x", &interrupt).await.unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Rejected);
        assert!(err.to_string().contains("/bin/false ended with exit code 1"), "{err}");
    }

    #[tokio::test]
    async fn a_program_that_hangs_ends_with_the_update() {
        let interrupt = Interrupt::new();
        let stop = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            interrupt.trigger();
        };
        let (answer, ()) = tokio::join!(ask("/bin/sleep", "1h", &interrupt), stop);
        let err = answer.unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Rejected);
        assert!(err.to_string().contains("/bin/sleep was killed before it ended"), "{err}");
    }
}
