//! Sizes of thread pools, buffers and caches, from the processors and memory of the machine.

/// The processors and memory that the process may use. They bound its threads, buffers and caches.
///
/// ```
/// let mut resources = sync_core::Resources::default();
/// resources.memory = Some(64 << 20);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resources {
    /// The number of processors; see [`Resources::threads`] for the number of threads that follows from it.
    pub threads: usize,
    /// The memory limit of the process in bytes; `None` means no limit.
    pub memory: Option<u64>,
}

/// Memory for one thread in bytes: its caches, and its part of the shared buffers.
const PER_THREAD: u64 = 16 << 20;

impl Default for Resources {
    /// All processors that are available to the process, and no memory limit.
    fn default() -> Self {
        Resources { threads: std::thread::available_parallelism().map_or(1, usize::from), memory: None }
    }
}

impl Resources {
    /// The number of threads that inflate, hash and write: at least one, at most four (more gain little), and no more
    /// than fit into the memory at 16 MiB each.
    #[must_use]
    pub fn threads(self) -> usize {
        let fitting = self.memory.map_or(u64::MAX, |memory| memory / PER_THREAD);
        self.threads.min(4).min(usize::try_from(fitting).unwrap_or(usize::MAX)).max(1)
    }

    /// Objects of more bytes are streamed in pieces, not held in memory.
    pub(crate) fn stream_threshold(self) -> u64 {
        self.part(64, 1 << 20)
    }

    /// Size of the delta base cache of each thread, in bytes.
    pub(crate) fn delta_cache_bytes(self) -> u64 {
        self.part(32, 4 << 20)
    }

    /// Bytes of blobs that one thread passes to another at once. About twenty such batches exist at a time.
    pub(crate) fn batch_bytes(self) -> u64 {
        self.part(256, 256 << 10)
    }

    /// Bytes of tree objects that are held until their parent trees arrive.
    pub(crate) fn pending_tree_bytes(self) -> u64 {
        self.part(8, 16 << 20)
    }

    /// The largest tree, commit or tag, in bytes. These objects are held in memory.
    pub(crate) fn max_tree_object(self) -> u64 {
        self.part(8, 128 << 20).max(1 << 20)
    }

    /// The most bytes that a server may send besides packs. They are held in memory; 128 MiB are well over a million
    /// references.
    pub(crate) fn max_server_text(self) -> u64 {
        self.part(8, 128 << 20)
    }

    /// The largest file for Git itself (attributes, submodules, patterns), in bytes. Once parsed, it takes up to 70 times
    /// as much memory.
    pub(crate) fn max_text(self) -> u64 {
        self.part(128, 4 << 20)
    }

    fn part(self, of: u64, most: u64) -> u64 {
        self.memory.map_or(most, |memory| (memory / of).clamp(16 << 10, most))
    }
}

/// How many object buffers a thread keeps for reuse: a delta result and its base.
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
