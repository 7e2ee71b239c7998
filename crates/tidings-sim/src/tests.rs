//! The simulation itself: it is the same each time, meets what it says, and what it once found stays
//! mended.

mod catalogue;
mod determinism;
mod regressions;
