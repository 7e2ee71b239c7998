//! What the guarded work sees of an election: whether one leads, until when, and with which token.
//!
//! H1  `is_leader` is false from `valid_until` on, whatever has become of the task of the election.
//! H2  The lease is given back only by [`LeaderHandle::release`], which is called after the work has ended.
//!
//! Source: client-go tools/leaderelection; rules ctl-L10, ctl-L11, ctl-L13, ctl-L14, cg-E7, cg-E9.

use std::{fmt, sync::Arc, time::Duration};

use tidings_engine::lease::StopReason;
use tokio::{sync::watch, time::Instant};

/// A handle to an election, running or not. Clones are handles to the same one.
#[derive(Clone, Debug)]
pub struct LeaderHandle {
    pub(super) leadership: watch::Receiver<Leadership>,
    pub(super) stop: Arc<watch::Sender<bool>>,
    pub(super) lease_duration: Duration,
}

/// Who leads, as far as this candidate knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leadership {
    /// Whether this one led when that was published; ask [`Leadership::is_valid`] before acting on it.
    pub is_leader: bool,
    /// Who holds the lease by its record, empty if nobody does. It may have expired.
    pub holder: String,
    /// The lease's transitions, while this one leads: higher than that of every leader before.
    pub fencing: Option<u32>,
    /// When the last successful renewal was sent, while this one leads.
    pub renewed_at: Option<Instant>,
    /// When leadership ends, unless it is renewed before.
    pub valid_until: Option<Instant>,
    /// Why this one leads no more, since it last led.
    pub stopped_leading: Option<StopReason>,
    /// What went wrong with the last request, in one sentence.
    pub trouble: Option<String>,
    /// Whether the election has stopped, and if so, whether the lease is certainly not held by this
    /// one any more.
    pub released: Option<bool>,
}

// === impl LeaderHandle ===

impl LeaderHandle {
    /// The leadership as a value that can be watched; it changes with each renewal.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Leadership> {
        self.leadership.clone()
    }

    /// The leadership now.
    #[must_use]
    pub fn leadership(&self) -> Leadership {
        self.leadership.borrow().clone()
    }

    /// Whether this one may act as the leader now.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.leadership.borrow().is_valid(Instant::now())
    }

    /// The fencing token, if this one leads now.
    #[must_use]
    pub fn fencing(&self) -> Option<u32> {
        let leadership = self.leadership.borrow();
        let is_valid = leadership.is_valid(Instant::now());
        leadership.fencing.filter(|_| is_valid)
    }

    /// Waits until this one leads, and returns the fencing token; `None` if the election has stopped.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn wait_leader(&self) -> Option<u32> {
        let mut leadership = self.leadership.clone();
        let decided = leadership.wait_for(|leadership| {
            leadership.is_valid(Instant::now()) || leadership.released.is_some()
        });
        let decided = decided.await.ok()?;
        decided.fencing.filter(|_| decided.released.is_none())
    }

    /// Waits until this one does not lead (any more): at once if it does not now, and at `valid_until` even
    /// when the election's task hangs.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn wait_not_leader(&self) {
        let mut leadership = self.leadership.clone();
        let fencing = leadership.borrow().fencing;
        loop {
            let valid_until = {
                let now = leadership.borrow_and_update();
                match now.valid_until {
                    // Another token is another term: the one that was waited for is over.
                    Some(valid_until) if now.is_valid(Instant::now()) && now.fencing == fencing => {
                        valid_until
                    }
                    _ => return,
                }
            };
            tokio::select! {
                () = tokio::time::sleep_until(valid_until) => {}
                changed = leadership.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Stops the election and gives the lease back, so that another candidate takes it at once. To be called
    /// after the guarded work has ended: from here on another one may do it (ctl-L11).
    ///
    /// Returns whether the lease is certainly not held by this one any more. If the server cannot be reached
    /// that is given up after the renew deadline, and the lease is free when it expires.
    /// Waits for as long as the election has not been run.
    ///
    /// # Cancel safety
    ///
    /// Once this was polled, the election stops and releases even if the future is dropped.
    pub async fn release(&self) -> bool {
        self.stop.send_replace(true);
        let mut leadership = self.leadership.clone();
        let stopped = leadership.wait_for(|leadership| leadership.released.is_some());
        match stopped.await {
            Ok(leadership) => leadership.released == Some(true),
            Err(_) => false,
        }
    }

    /// For a health check: whether the election's task does its work. It fails when this one claims to lead,
    /// and has not renewed for the lease's duration and `tolerance`: its task hangs, and the process should
    /// be restarted (ctl-L14, cg-E9).
    ///
    /// # Errors
    ///
    /// [`NotRenewed`], with how long ago the last renewal was.
    pub fn check(&self, tolerance: Duration) -> Result<(), NotRenewed> {
        let leadership = self.leadership.borrow();
        let Some(renewed_at) = leadership.renewed_at.filter(|_| leadership.is_leader) else {
            return Ok(());
        };
        let age = renewed_at.elapsed();
        if age > self.lease_duration.saturating_add(tolerance) {
            return Err(NotRenewed { age });
        }
        Ok(())
    }
}

// === impl Leadership ===

impl Leadership {
    /// Whether this one may act as the leader at that time.
    #[must_use]
    pub fn is_valid(&self, now: Instant) -> bool {
        self.is_leader && self.valid_until.is_some_and(|until| now < until)
    }
}

/// This one claims to lead, but has not renewed for too long: the election's task hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotRenewed {
    /// How long ago the last successful renewal was sent.
    pub age: Duration,
}

impl fmt::Display for NotRenewed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.age.as_secs_f64();
        write!(f, "the lease has not been renewed for {seconds:.1} s")
    }
}

impl std::error::Error for NotRenewed {}
