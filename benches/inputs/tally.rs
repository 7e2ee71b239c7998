//! A handler that counts what it is told: benches assert on it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tidings_engine::fanout::{Event, Handler};

/// How many events of each kind a handler was told. Clones are the same counters.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    counts: Arc<[AtomicU64; 4]>,
}

impl Tally {
    /// Objects that were told as new.
    #[must_use]
    pub fn added(&self) -> u64 {
        self.counts[0].load(Ordering::Relaxed)
    }

    /// Objects that were told as changed.
    #[must_use]
    pub fn updated(&self) -> u64 {
        self.counts[1].load(Ordering::Relaxed)
    }

    /// Objects that were told as gone.
    #[must_use]
    pub fn deleted(&self) -> u64 {
        self.counts[2].load(Ordering::Relaxed)
    }

    /// All events.
    #[must_use]
    pub fn events(&self) -> u64 {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        self.counts.iter().map(load).sum()
    }

    /// A handler that counts here.
    pub fn handler<P: Send + Sync>(&self) -> impl Handler<P> + use<P> {
        let counts = Arc::clone(&self.counts);
        move |event: Event<'_, P>| {
            let kind = match event {
                Event::Added { .. } => 0,
                Event::Updated { .. } => 1,
                Event::Deleted { .. } => 2,
                Event::Poisoned { .. } => 3,
            };
            counts[kind].fetch_add(1, Ordering::Relaxed);
        }
    }
}
