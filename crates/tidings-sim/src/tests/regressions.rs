//! Seeds that broke a rule once, each by the rule and by what it found.

use crate::{case, run};

/// No stream counted as short where an answer takes a second, so that a server that closes a watch in
/// place of saying 410 was never suspected.
#[test]
fn pr_w12_a_server_without_a_word_behind_a_slow_link_is_suspected() {
    let case = case(92);
    assert!(case.knobs.mute, "another generator: find a seed");
    assert_eq!(case.knobs.latency, 1000, "another generator: find a seed");
    assert_eq!(run(case).violation, None);
}
