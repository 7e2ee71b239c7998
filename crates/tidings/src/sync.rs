//! The locks and channels at which tasks and threads meet.
//!
//! Has nothing of its own. `tests/schedules` mounts what meets there beside another file of this name,
//! whose locks and channels are those of a checker of schedules.

pub(crate) use parking_lot::Mutex;
pub(crate) use tokio::sync::{mpsc, oneshot, watch};
