//! CPU time of the process and of a thread, so that a figure says who paid for it.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// A stretch of work: wall time, and CPU of both sides.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    pub(crate) server: Duration,
    pub(crate) client: Duration,
}

/// Where a stretch began.
pub(crate) struct Start {
    wall: Instant,
    process: Duration,
}

impl Start {
    pub(crate) fn now() -> Self {
        Self {
            wall: Instant::now(),
            process: process(),
        }
    }

    /// What it cost, of which the client's threads say their part.
    pub(crate) fn cost(&self, client: Duration) -> Cost {
        Cost {
            wall: self.wall.elapsed(),
            server: (process() - self.process).saturating_sub(client),
            client,
        }
    }
}

/// User and system time of the process.
fn process() -> Duration {
    of(ClockId::ProcessCPUTime)
}

/// User and system time of the calling thread.
pub(crate) fn thread() -> Duration {
    of(ClockId::ThreadCPUTime)
}

fn of(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}
