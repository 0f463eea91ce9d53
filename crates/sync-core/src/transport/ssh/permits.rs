//! How many channels a session has at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The most channels of a session at once. OpenSSH allows ten, unless its MaxSessions says otherwise.
const MOST: usize = 4;

/// The channels of a session.
#[derive(Clone)]
pub(super) struct Channels(Arc<Counts>);

struct Counts {
    used: AtomicUsize,
    most: AtomicUsize,
}

/// The right to have a channel. It lasts until the server has closed the channel.
pub(super) struct ChannelPermit(Channels);

impl Channels {
    pub(super) fn new() -> Self {
        Channels(Arc::new(Counts { used: AtomicUsize::new(0), most: AtomicUsize::new(MOST) }))
    }

    /// A permit, unless there are too many channels.
    pub(super) fn reserve(&self) -> Option<ChannelPermit> {
        let most = self.0.most.load(Ordering::Relaxed);
        let more = |used: usize| (used < most).then_some(used + 1);
        self.0.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(ChannelPermit(self.clone()))
    }

    /// Take note that the server refuses more channels than there are. False if there is none.
    pub(super) fn limit(&self) -> bool {
        let used = self.0.used.load(Ordering::Relaxed);
        self.0.most.fetch_min(used.max(1), Ordering::Relaxed);
        used > 0
    }
}

impl Drop for ChannelPermit {
    fn drop(&mut self) {
        self.0.0.used.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_has_so_many_channels_as_it_may() {
        let channels = Channels::new();
        let mut permits: Vec<_> = (0..MOST).map(|_| channels.reserve().unwrap()).collect();
        assert!(channels.reserve().is_none());
        permits.truncate(2);
        assert!(channels.limit());
        assert!(channels.reserve().is_none(), "the server refused a third one");
        permits.clear();
        assert!(!channels.limit());
        assert!(channels.reserve().is_some());
    }
}
