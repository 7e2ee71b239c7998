//! The elector against the rules of leader election, as traces: left what happened, right what the machine asked
//! for.

mod acquire;
mod notation;
mod release;
mod renew;
mod watching;
mod world;

use expect_test::expect;

use self::notation::{check, check_with, trace};
use super::*;
