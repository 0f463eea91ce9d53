//! Scoped threads for parallel work.

use std::io;

/// Run `work` on each share, on one thread per share. The results are in the order of the shares; the first error wins.
pub(crate) fn on_threads<T: Send, R: Send>(
    shares: impl Iterator<Item = T>,
    work: impl Fn(T) -> io::Result<R> + Sync,
) -> io::Result<Vec<R>> {
    let work = &work;
    std::thread::scope(|scope| {
        let started: Vec<_> = shares.map(|share| scope.spawn(move || work(share))).collect();
        let died = |_| io::Error::other("a thread died");
        started.into_iter().map(|thread| thread.join().map_err(died)?).collect()
    })
}
