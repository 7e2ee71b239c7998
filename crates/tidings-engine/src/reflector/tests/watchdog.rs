//! The silence watchdog and its probe (DESIGN 4.6).

use super::*;

#[test]
fn pr_1_7_silence_leads_to_a_probe_and_a_quiet_healthy_stream_is_left_alone() {
    check(
        "
            start
            ok
            ADDED a@7
            ADDED b@9
            initial-end 10
            tick
            probe 10
            t=400s closed
            tick
            ok
            tick
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    ADDED b@9 -> b@9; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            130.0  tick -> PROBE; wake 145.0
            130.0  probe 10 -> wake 510.7
            400.0  closed -> close; wake 400.0
            400.0  tick -> WATCH rv=10; wake 758.4
            400.0  ok -> wake 758.4
            758.4  tick -> close; wake 759.4
        "#]],
    );
}

#[test]
fn pr_e11c_a_stream_that_shows_the_probed_version_is_healthy() {
    check(
        "
            start
            ok
            ADDED a@7
            ADDED b@9
            initial-end 10
            tick
            probe 50
            t=150s bookmark 50
            tick
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    ADDED b@9 -> b@9; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            130.0  tick -> PROBE; wake 145.0
            130.0  probe 50 -> wake 200.0
            150.0  bookmark 50 -> bookmark 50; wake 510.7
            510.7  tick -> close; wake 511.5
        "#]],
    );
}

#[test]
fn pr_e11c_a_stream_that_does_not_follow_is_reopened_at_its_version() {
    check(
        "
            start
            ok
            ADDED a@7
            ADDED b@9
            initial-end 10
            tick
            probe 50
            t=150s bookmark 40
            tick
            tick
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    ADDED b@9 -> b@9; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            130.0  tick -> PROBE; wake 145.0
            130.0  probe 50 -> wake 200.0
            150.0  bookmark 40 -> bookmark 40; wake 200.0
            200.0  tick -> close; wake 200.8
            200.8  tick -> WATCH rv=40; wake 330.8
        "#]],
    );
}

#[test]
fn an_unanswered_probe_means_a_dead_connection() {
    check(
        "
            start
            ok
            ADDED a@7
            ADDED b@9
            initial-end 10
            tick
            tick
            tick
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    ADDED b@9 -> b@9; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            130.0  tick -> PROBE; wake 145.0
            145.0  tick -> close; wake 145.8
            145.8  tick -> WATCH rv=10; wake 275.8
        "#]],
    );
}

#[test]
fn a_failed_probe_means_a_dead_connection() {
    check(
        "
            start
            ok
            ADDED a@7
            ADDED b@9
            initial-end 10
            tick
            probe-failed
            tick
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    ADDED b@9 -> b@9; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            130.0  tick -> PROBE; wake 145.0
            130.0  probe-failed -> close; wake 130.8
            130.8  tick -> WATCH rv=10; wake 260.8
        "#]],
    );
}

#[test]
fn pr_w15_inv_s4_a_probe_below_our_version_relists() {
    check(
        "
            start
            ok
            ADDED a@7
            ADDED b@9
            initial-end 10
            tick
            probe 5
            tick
            ok
            initial-end 6
            ok
            initial-end 6
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    ADDED b@9 -> b@9; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            130.0  tick -> PROBE; wake 145.0
            130.0  probe 5 -> close; wake 130.8
            130.8  tick -> WATCHLIST rv=''; wake 160.8
            130.8  ok -> replace{; wake 160.8
            130.8  initial-end 6 -> }abort; WATCHLIST rv=''; wake 160.8
            130.8  ok -> replace{!; wake 160.8
            130.8  initial-end 6 -> } rv=6 epoch=1; wake 260.8
        "#]],
    );
}

#[test]
fn inv_s4_a_probe_below_what_came_after_it_was_asked_proves_nothing() {
    check(
        "
            start
            ok
            ADDED a@7
            initial-end 10
            tick
            t=131s ADDED b@12
            t=132s probe 11
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            130.0  tick -> PROBE; wake 145.0
            131.0  ADDED b@12 -> added b@12; wake 145.0
            132.0  probe 11 -> wake 510.7
        "#]],
    );
}

#[test]
fn pr_f31_a_late_probe_answer_is_ignored() {
    check(
        "
            start
            ok
            ADDED a@7
            ADDED b@9
            initial-end 10
            tick
            probe-failed
            probe 5
            tick
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    ADDED b@9 -> b@9; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            130.0  tick -> PROBE; wake 145.0
            130.0  probe-failed -> close; wake 130.8
            130.0  probe 5 -> wake 130.8
            130.8  tick -> WATCH rv=10; wake 260.8
        "#]],
    );
}

/// A frame between the question and the answer says more than the answer.
#[test]
fn pr_e11c_a_stream_that_speaks_while_it_is_probed_is_healthy() {
    check(
        "
            start
            ok
            ADDED a@7
            initial-end 10
            tick
            t=131s MODIFIED a@20
            t=132s probe 50
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            130.0  tick -> PROBE; wake 145.0
            131.0  MODIFIED a@20 -> updated a@20; wake 145.0
            132.0  probe 50 -> wake 510.7
        "#]],
    );
    check(
        "
            start
            ok
            ADDED a@7
            initial-end 10
            tick
            t=132s probe 50
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            130.0  tick -> PROBE; wake 145.0
            132.0  probe 50 -> wake 200.0
        "#]],
    );
}

/// Silence counts from the answer's head, which may take its time.
#[test]
fn pr_1_7_an_accepted_request_is_a_sign_of_life() {
    check(
        "
            start
            ok
            initial-end 10
            t=20s closed
            tick
            t=40s ok
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            20.0   closed -> close; wake 20.0
            20.0   tick -> WATCH rv=10; wake 150.0
            40.0   ok -> wake 170.0
        "#]],
    );
}

/// Silence makes the store stale without any trouble; an event that comes while the probe is under way
/// ends that, and so does a bookmark.
#[test]
fn pr_1_7_a_stream_that_speaks_again_is_stale_no_more() {
    let stale_since = |last: &str| {
        let script = format!("start\nok\ninitial-end 10\nt=130s tick\n{last}");
        let condition = trace(Config::default(), &script).1.condition();
        assert_eq!(condition.trouble, None);
        condition.stale_since
    };
    assert_eq!(stale_since("t=131s unfit"), Some(Instant::ZERO));
    assert_eq!(stale_since("t=131s MODIFIED a@11"), None);
    assert_eq!(stale_since("t=131s bookmark 11"), None);
}
