//! Objects that were made of deltas, or that deltas start from: the next delta often starts from one of them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use gix::objs::Kind;

use super::PackLocation;

/// What an entry takes besides its bytes, about.
const OVERHEAD: u64 = 128;

/// Keeps the objects that were added or used last.
#[derive(Default)]
pub(super) struct BaseCache {
    entries: HashMap<PackLocation, Cached>,
    /// Those that were added first come first, but for those that were used since.
    order: VecDeque<PackLocation>,
    size: u64,
}

struct Cached {
    kind: Kind,
    bytes: Arc<Vec<u8>>,
    /// Whether it was used since it was added, or passed over.
    is_used: bool,
}

impl BaseCache {
    pub(super) fn get(&mut self, location: PackLocation) -> Option<(Kind, Arc<Vec<u8>>)> {
        let found = self.entries.get_mut(&location)?;
        found.is_used = true;
        Some((found.kind, found.bytes.clone()))
    }

    /// Add an object. Others go, so that all have at most `limit` bytes.
    pub(super) fn add(&mut self, location: PackLocation, kind: Kind, bytes: &Arc<Vec<u8>>, limit: u64) {
        if size(bytes) > limit || self.entries.contains_key(&location) {
            return;
        }
        self.size += size(bytes);
        self.entries.insert(location, Cached { kind, bytes: bytes.clone(), is_used: false });
        self.order.push_back(location);
        while self.size > limit {
            let Some(oldest) = self.order.pop_front() else { break };
            match self.entries.get_mut(&oldest) {
                Some(cached) if cached.is_used => {
                    cached.is_used = false;
                    self.order.push_back(oldest);
                }
                _ => {
                    let gone = self.entries.remove(&oldest);
                    self.size -= gone.map_or(0, |gone| size(&gone.bytes));
                }
            }
        }
    }
}

fn size(bytes: &[u8]) -> u64 {
    bytes.len() as u64 + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_rest_goes_in_turn() {
        let mut cache = BaseCache::default();
        let at = |offset| PackLocation { pack: 0, offset };
        let limit = 4 * (OVERHEAD + 10);
        for offset in 0..100 {
            cache.add(at(offset), Kind::Tree, &Arc::new(vec![0; 10]), limit);
            assert!(cache.get(at(0)).is_some() && cache.size <= limit);
        }
        let kept = |cache: &BaseCache| -> Vec<u64> {
            (0..=100).filter(|offset| cache.entries.contains_key(&at(*offset))).collect()
        };
        assert_eq!(kept(&cache), [0, 97, 98, 99]);
        cache.add(at(100), Kind::Blob, &Arc::new(vec![0; limit as usize]), limit);
        assert_eq!(kept(&cache), [0, 97, 98, 99]);
    }
}
