//! Who leads, as far as a controller needs to know.

use std::{fmt, sync::Arc};

use tokio::{sync::watch, time::Instant};

use super::{source::Boxed, status::Phase};
use crate::leader::LeaderHandle;

/// A part in an election.
pub(super) trait Leading: Send + Sync {
    /// The leadership now, while it is ours.
    fn term(&self) -> Option<Term>;
    /// Waits until this may have changed.
    fn changed(&mut self) -> Boxed<'_, ()>;
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

    pub(super) fn term(&self) -> Option<Term> {
        self.0.as_ref().and_then(|leading| leading.term())
    }

    /// Waits until this replica leads; at once without an election.
    pub(super) async fn lead(&mut self, phase: &watch::Sender<Phase>) -> Option<Term> {
        let leading = self.0.as_mut()?;
        loop {
            if let Some(term) = leading.term() {
                return Some(term);
            }
            phase.send_replace(Phase::Standby);
            leading.changed().await;
        }
    }

    /// Waits until a leadership is lost; for ever without an election.
    pub(super) async fn lost(&mut self, held: Option<&Term>) {
        let (Some(leading), Some(held)) = (self.0.as_mut(), held) else {
            return std::future::pending().await;
        };
        while leading
            .term()
            .is_some_and(|term| term.fencing == held.fencing)
        {
            leading.changed().await;
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

    fn changed(&mut self) -> Boxed<'_, ()> {
        let mut leadership = self.watch();
        leadership.mark_unchanged();
        let valid_until = leadership.borrow().valid_until;
        Box::pin(async move {
            let expired = async {
                match valid_until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = leadership.changed() => if changed.is_err() {
                    // The election's task is gone: nothing changes but the clock.
                    std::future::pending::<()>().await;
                },
                () = expired => {}
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
