//! How much of the machine to use.

/// What this process may use of its machine. Threads, buffers and what is held to be used again are cut to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resources {
    /// How many threads may run at once.
    pub threads: usize,
    /// The bytes of memory that the process may have; nothing where there is no limit.
    pub memory: Option<u64>,
}

/// What a thread may take with its objects, and its share of what all have in common.
const PER_THREAD: u64 = 16 << 20;

impl Default for Resources {
    /// All processors that the process may use, and no limit of memory.
    fn default() -> Self {
        Resources { threads: std::thread::available_parallelism().map_or(1, usize::from), memory: None }
    }
}

impl Resources {
    /// How many threads inflate, hash and write: more than four gain little.
    pub fn threads(self) -> usize {
        let fitting = self.memory.map_or(u64::MAX, |memory| memory / PER_THREAD);
        self.threads.min(4).min(usize::try_from(fitting).unwrap_or(usize::MAX)).max(1)
    }

    /// Larger objects go through in pieces.
    pub(crate) fn stream_threshold(self) -> u64 {
        self.part(64, 1 << 20)
    }

    /// How many bytes of objects each thread holds because others are made from them.
    pub(crate) fn delta_cache_bytes(self) -> u64 {
        self.part(32, 4 << 20)
    }

    /// How many bytes of blobs go from one thread to another at once; about twenty such batches are on their way.
    pub(crate) fn batch_bytes(self) -> u64 {
        self.part(256, 256 << 10)
    }

    /// How many bytes of trees wait for those above them.
    pub(crate) fn pending_tree_bytes(self) -> u64 {
        self.part(8, 16 << 20)
    }

    /// The largest tree, commit or tag: these are held to be read.
    pub(crate) fn max_tree_object(self) -> u64 {
        self.part(8, 128 << 20).max(1 << 20)
    }

    /// The most bytes that a server may say besides packs, all of which are held: well over a million references.
    pub(crate) fn max_server_text(self) -> u64 {
        self.part(8, 128 << 20)
    }

    /// The most bytes of a file of git's own (attributes, submodules, patterns) that are read at once. Read, they take
    /// up to 70 times as much.
    pub(crate) fn max_text(self) -> u64 {
        self.part(128, 4 << 20)
    }

    fn part(self, of: u64, most: u64) -> u64 {
        self.memory.map_or(most, |memory| (memory / of).clamp(16 << 10, most))
    }
}

/// How many objects' room is kept for the next: what is put together and what it is made from.
pub(crate) const SPARE_BUFFERS: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_memory_means_few_threads_and_small_buffers() {
        let with = |threads, memory| Resources { threads, memory };
        for (threads, memory, expected) in [
            (1, None, 1),
            (2, None, 2),
            (64, None, 4),
            (64, Some(1 << 40), 4),
            (64, Some(64 << 20), 4),
            (64, Some(32 << 20), 2),
            (64, Some(1 << 20), 1),
            (1, Some(64 << 20), 1),
        ] {
            assert_eq!(with(threads, memory).threads(), expected, "{threads} {memory:?}");
        }
        let each = |of: Resources| of.delta_cache_bytes() + SPARE_BUFFERS as u64 * of.stream_threshold();
        let all = |of: Resources| {
            of.stream_threshold()
                + of.threads() as u64 * each(of)
                + 20 * of.batch_bytes()
                + of.pending_tree_bytes()
        };
        for memory in [32 << 20, 64 << 20, 128 << 20] {
            assert!(all(with(64, Some(memory))) <= memory / 2, "{memory}");
        }
        assert_eq!(all(with(4, Some(1 << 30))), all(with(4, None)));
    }
}
