//! The rooms together: what becomes of each delta, who is told what, and when.

mod contract;
mod every_run;
mod faults;
mod found;
mod handlers;
mod stored;
mod support;
mod world;

use super::*;
