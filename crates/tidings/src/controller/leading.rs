//! Who leads, as far as a controller needs to know.

use tokio::sync::watch;

use super::{source::Boxed, status::Phase};

/// A part in an election.
pub(super) trait Leading: Send + Sync {
    /// The number of the leadership, while it is ours.
    fn fencing(&self) -> Option<u64>;
    /// Waits until this may have changed.
    fn changed(&mut self) -> Boxed<'_, ()>;
    /// Lets another replica lead; what the leadership guarded has ended.
    fn release(&mut self) -> Boxed<'_, ()>;
}

/// The part that a controller has, if there is an election at all.
#[derive(Default)]
pub(super) struct Leadership(Option<Box<dyn Leading>>);

impl Leadership {
    pub(super) fn of(leading: impl Leading + 'static) -> Self {
        Self(Some(Box::new(leading)))
    }

    pub(super) fn fencing(&self) -> Option<u64> {
        self.0.as_ref().and_then(|leading| leading.fencing())
    }

    /// Waits until this replica leads; at once without an election.
    pub(super) async fn lead(&mut self, phase: &watch::Sender<Phase>) -> Option<u64> {
        let leading = self.0.as_mut()?;
        loop {
            if let Some(fencing) = leading.fencing() {
                return Some(fencing);
            }
            phase.send_replace(Phase::Standby);
            leading.changed().await;
        }
    }

    /// Waits until a leadership is lost; for ever without an election.
    pub(super) async fn lost(&mut self, held: Option<u64>) {
        let Some(leading) = self.0.as_mut() else {
            return std::future::pending().await;
        };
        while leading.fencing() == held {
            leading.changed().await;
        }
    }

    pub(super) async fn release(&mut self) {
        if let Some(leading) = self.0.as_mut() {
            leading.release().await;
        }
    }
}
