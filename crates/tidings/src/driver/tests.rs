//! The driver over scripted streams and a paused clock: every fault, no socket, no waiting.

mod contract;
mod faults;
mod handles;
mod hostile;
mod logs;
mod script;
mod streams;
mod views;

use super::*;
