//! Who leads, as far as a controller needs to know.

use std::{fmt, sync::Arc};

use tokio::{sync::watch, time::Instant};

use super::{source::Boxed, status::Phase};
use crate::leader::LeaderHandle;

/// A part in an election.
pub(super) trait Leading: Send + Sync {
    /// The leadership now, while it is ours.
    fn term(&self) -> Option<Term>;
    /// Waits until it is ours.
    fn lead(&mut self) -> Boxed<'_, Term>;
    /// Waits until the leadership of this number is not ours any more, by the clock if need be.
    fn lost(&mut self, fencing: u32) -> Boxed<'_, ()>;
    /// Lets another replica lead; what the leadership guarded has ended.
    fn release(&mut self) -> Boxed<'_, ()>;
}

/// The part that a controller has, if there is an election at all.
#[derive(Default)]
pub(super) struct Leadership(Option<Box<dyn Leading>>);

/// One leadership of this replica.
#[derive(Clone)]
pub(super) struct Term {
    pub(super) fencing: u32,
    is_valid: Arc<dyn Fn() -> bool + Send + Sync>,
}

// === impl Leadership ===

impl Leadership {
    pub(super) fn of(leading: impl Leading + 'static) -> Self {
        Self(Some(Box::new(leading)))
    }

    /// Waits until this replica leads; at once without an election.
    pub(super) async fn lead(&mut self, phase: &watch::Sender<Phase>) -> Option<Term> {
        let leading = self.0.as_mut()?;
        if let Some(term) = leading.term() {
            return Some(term);
        }
        phase.send_replace(Phase::Standby);
        Some(leading.lead().await)
    }

    /// Waits until a leadership is lost; for ever without an election.
    pub(super) async fn lost(&mut self, held: Option<&Term>) {
        match (self.0.as_mut(), held) {
            (Some(leading), Some(held)) => leading.lost(held.fencing).await,
            (_, None) | (None, _) => std::future::pending().await,
        }
    }

    pub(super) async fn release(&mut self) {
        if let Some(leading) = self.0.as_mut() {
            leading.release().await;
        }
    }
}

// === impl Term ===

impl Term {
    pub(super) fn new(fencing: u32, is_valid: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        let is_valid = Arc::new(is_valid);
        Self { fencing, is_valid }
    }

    /// Whether it is still ours, by the clock: asked right before something is done in its name.
    pub(super) fn is_valid(&self) -> bool {
        (self.is_valid)()
    }
}

impl fmt::Debug for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Term({})", self.fencing)
    }
}

impl Leading for LeaderHandle {
    fn term(&self) -> Option<Term> {
        let now = self.leadership();
        let fencing = now.fencing.filter(|_| now.is_valid(Instant::now()))?;
        let handle = self.clone();
        Some(Term::new(fencing, move || {
            let now = handle.leadership();
            now.fencing == Some(fencing) && now.is_valid(Instant::now())
        }))
    }

    fn lead(&mut self) -> Boxed<'_, Term> {
        Box::pin(async {
            let mut leadership = self.watch();
            loop {
                // What is published after this is a change; what was before is looked at.
                leadership.mark_unchanged();
                if let Some(term) = self.term() {
                    return term;
                }
                if leadership.changed().await.is_err() {
                    // The election's task is gone, and nobody else can make this one the leader.
                    std::future::pending::<()>().await;
                }
            }
        })
    }

    fn lost(&mut self, fencing: u32) -> Boxed<'_, ()> {
        Box::pin(async move {
            let mut leadership = self.watch();
            loop {
                let now = leadership.borrow_and_update().clone();
                let until = now.valid_until.filter(|_| now.fencing == Some(fencing));
                let Some(until) = until.filter(|_| now.is_valid(Instant::now())) else {
                    return;
                };
                // Renewed or not: when the time is over, it is looked again.
                let _ = tokio::time::timeout_at(until, leadership.changed()).await;
                if leadership.has_changed().is_err() {
                    // The election's task is gone: nobody renews, and the clock decides.
                    tokio::time::sleep_until(until).await;
                }
            }
        })
    }

    fn release(&mut self) -> Boxed<'_, ()> {
        let handle = self.clone();
        Box::pin(async move {
            // Given up or not: the lease expires by itself.
            handle.release().await;
        })
    }
}
