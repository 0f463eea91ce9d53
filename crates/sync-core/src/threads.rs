//! Work shared out among threads.

use std::io;

/// Work on every share on a thread of its own.
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
