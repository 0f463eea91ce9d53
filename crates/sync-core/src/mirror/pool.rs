//! What several mirrors share.

use std::fmt;
use std::num::NonZeroUsize;

use crate::permits::{PermitRequest, Permits};
use crate::resources::Resources;
use crate::transport::connections::Connections;

/// Memory for the process itself and for everything that is not an update, in bytes.
const BASE: u64 = 16 << 20;

/// The least memory for one update, in bytes. With less, fewer updates run at once.
const LEAST_SHARE: u64 = 48 << 20;

/// What several mirrors share: connections, a bound on how many of them work at once, and memory. Clones share their
/// state.
///
/// Connections are kept by server and by all options that shape them (certificates, proxies, keys). Logins over HTTP are
/// sent with each request, so mirrors with different ones may use the same connection.
///
/// A mirror needs a permit of its pool to receive, check out, verify or repack. It needs none to look whether there is
/// anything new, so such looks never wait for a large fetch.
///
/// ```no_run
/// use std::num::NonZeroUsize;
/// use sync_core::{Mirror, Pool, Resources, Source};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = Pool::new(Resources::default(), NonZeroUsize::MIN);
/// for name in ["site", "docs"] {
///     let source = Source::new(format!("https://example.com/{name}.git").parse()?, "main".parse()?);
///     let mut mirror = Mirror::builder(source).pool(&pool).open(format!("/srv/{name}"))?;
///     std::thread::spawn(move || mirror.sync());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Pool {
    permits: Permits,
    share: Resources,
    connections: Connections,
}

impl Pool {
    /// A pool in which up to `parallel` mirrors work at once. The memory of `resources` is divided among them; if it is
    /// little, fewer work at once.
    #[must_use]
    pub fn new(resources: Resources, parallel: NonZeroUsize) -> Pool {
        let fitting = resources.memory.map_or(u64::MAX, |memory| memory.saturating_sub(BASE) / LEAST_SHARE);
        let parallel = (parallel.get() as u64).min(fitting).max(1);
        let mut share = resources;
        if parallel > 1 {
            share.memory = resources.memory.map(|memory| (memory - BASE) / parallel);
        }
        let total = NonZeroUsize::new(parallel as usize).unwrap_or(NonZeroUsize::MIN);
        Pool { permits: Permits::new(total), share, connections: Connections::default() }
    }

    /// The resources of one mirror while it works.
    #[must_use]
    pub fn share(&self) -> Resources {
        self.share
    }

    /// How many mirrors may work at once.
    #[must_use]
    pub fn parallel(&self) -> usize {
        self.permits.total()
    }

    /// How many mirrors work now.
    #[must_use]
    pub fn working(&self) -> usize {
        self.permits.taken()
    }

    /// How many mirrors wait until they may work.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.permits.waiting()
    }

    /// Queue for a permit to work, for [`Mirror::apply`](super::Mirror::apply). [`Mirror::update`](super::Mirror::update)
    /// does so itself.
    pub fn permit(&self) -> PermitRequest {
        self.permits.request()
    }

    pub(super) fn permits(&self) -> &Permits {
        &self.permits
    }

    pub(super) fn connections(&self) -> &Connections {
        &self.connections
    }
}

/// One mirror at a time, with the default resources.
impl Default for Pool {
    fn default() -> Self {
        Pool::new(Resources::default(), NonZeroUsize::MIN)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (parallel, share) = (self.parallel(), self.share);
        f.debug_struct("Pool").field("parallel", &parallel).field("share", &share).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_memory_means_fewer_at_once_and_each_has_its_part() {
        let mib = |size: u64| size << 20;
        for (memory, asked, parallel, share) in [
            (None, 4, 4, None),
            (Some(mib(64)), 1, 1, Some(mib(64))),
            (Some(mib(64)), 4, 1, Some(mib(64))),
            (Some(mib(112)), 4, 2, Some(mib(48))),
            (Some(mib(1040)), 4, 4, Some(mib(256))),
            (Some(1), 4, 1, Some(1)),
        ] {
            let resources = Resources { memory, ..Resources::default() };
            let pool = Pool::new(resources, NonZeroUsize::new(asked).unwrap());
            assert_eq!((pool.parallel(), pool.share().memory), (parallel, share), "{memory:?} for {asked}");
        }
    }
}
