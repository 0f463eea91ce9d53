//! Random moves of a branch.

use std::rc::Rc;

use fastrand::Rng;

use super::change::{Sources, change};
use super::tree::Tree;
use super::upstream::Upstream;

/// Make commits, or choose one that was made; the number of the one that the branch is to name instead of `at`,
/// and what was done.
pub fn advance(rng: &mut Rng, upstream: &mut Upstream, at: usize, sources: &Sources) -> (usize, Vec<String>) {
    let mut told = Vec::new();
    let earlier = earlier(rng, upstream, at);
    let mut next = match (rng.u8(..100), earlier) {
        (0..12, Some(earlier)) => {
            told.push(format!("back to commit {earlier}"));
            return (earlier, told);
        }
        (12..18, Some(earlier)) => {
            told.push(format!("go on from commit {earlier}"));
            commit(rng, upstream, earlier, &[earlier], sources, &mut told)
        }
        (18..22, Some(earlier)) => {
            told.push(format!("a new root with the tree of commit {earlier}"));
            commit(rng, upstream, earlier, &[], sources, &mut told)
        }
        (22..28, Some(earlier)) => {
            told.push(format!("merge commit {earlier}"));
            commit(rng, upstream, at, &[at, earlier], sources, &mut told)
        }
        (28..32, _) => {
            told.push("amend".into());
            let parents = upstream.commits[at].parents.clone();
            commit(rng, upstream, at, &parents, sources, &mut told)
        }
        _ => commit(rng, upstream, at, &[at], sources, &mut told),
    };
    while rng.u8(..8) == 0 {
        next = commit(rng, upstream, next, &[next], sources, &mut told);
    }
    (next, told)
}

/// A commit other than `at`, rather a recent one: its tree may be there still.
fn earlier(rng: &mut Rng, upstream: &Upstream, at: usize) -> Option<usize> {
    let count = upstream.commits.len();
    let among = if rng.bool() { count.saturating_sub(5)..count } else { 0..count };
    Some(rng.usize(among)).filter(|earlier| *earlier != at)
}

fn commit(
    rng: &mut Rng,
    upstream: &mut Upstream,
    from: usize,
    parents: &[usize],
    sources: &Sources,
    told: &mut Vec<String>,
) -> usize {
    let mut tree = Tree::clone(&upstream.commits[from].tree);
    for _ in 0..rng.usize(0..6) {
        told.push(change(rng, &mut tree, sources));
    }
    let number = upstream.commit(Rc::new(tree), parents);
    told.push(format!("commit {number} {}", upstream.commits[number].id));
    number
}

/// A first commit with a number of changes.
pub fn begin(rng: &mut Rng, upstream: &mut Upstream, changes: usize, sources: &Sources) -> Vec<String> {
    let mut tree = Tree::default();
    let told = (0..changes).map(|_| change(rng, &mut tree, sources)).collect();
    upstream.commit(Rc::new(tree), &[]);
    told
}
