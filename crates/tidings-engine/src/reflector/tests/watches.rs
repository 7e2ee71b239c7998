//! The watch phase: events, bookmarks, ends.

use super::*;

#[test]
fn inv_s2_cg_r27_the_version_of_a_resumption_is_what_was_applied() {
    check(
        "
            start
            ok
            ADDED a@7
            ADDED b@9
            initial-end 10
            t=1s hold
            MODIFIED a@12
            t=2s broken
            tick
            apply
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    ADDED b@9 -> b@9; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            1.0    hold -> wake 130.0
            1.0    MODIFIED a@12 -> updated a@12; wake 131.0
            2.0    broken -> close; wake 2.0
            2.0    tick -> 
            2.0    apply -> WATCH rv=12; wake 132.0
        "#]],
    );
}

#[test]
fn pr_1_7_a_clean_end_after_a_while_is_reopened_at_once_with_jitter() {
    check(
        "
            start
            ok
            ADDED a@7
            ADDED b@9
            initial-end 10
            t=60s bookmark 30
            t=300s closed
            tick
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    ADDED b@9 -> b@9; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            60.0   bookmark 30 -> bookmark 30; wake 190.0
            300.0  closed -> close; wake 300.0
            300.0  tick -> WATCH rv=30; wake 430.0
        "#]],
    );
}

#[test]
fn pr_f29_a_quiet_watch_cut_by_a_balancer_is_normal() {
    let config = Config {
        list_mode: ListMode::Whole,
        ..Config::default()
    };
    check_with(
        config,
        "
            start
            ok
            page rv=10 a@7
            ok
            t=50s closed
            tick
            ok
            t=110s closed
            tick
        ",
        expect![[r#"
            0.0    start -> LIST rv=''; wake 60.0
            0.0    ok -> replace{; wake 60.0
            0.0    page rv=10 a@7 -> a@7; } rv=10 epoch=0; WATCH rv=10; wake 130.0
            0.0    ok -> wake 130.0
            50.0   closed -> close; wake 50.0
            50.0   tick -> WATCH rv=10; wake 180.0
            50.0   ok -> wake 180.0
            110.0  closed -> close; wake 110.0
            110.0  tick -> WATCH rv=10; wake 240.0
        "#]],
    );
}

#[test]
fn cg_r19_a_server_that_ends_each_watch_after_one_event_meets_a_backoff() {
    let config = Config {
        list_mode: ListMode::Whole,
        ..Config::default()
    };
    check_with(
        config,
        "
            start
            ok
            page rv=10 a@7
            ok
            MODIFIED a@11
            closed
            tick
            ok
            MODIFIED a@12
            closed
            tick
            ok
            MODIFIED a@13
            closed
            tick
        ",
        expect![[r#"
            0.0    start -> LIST rv=''; wake 60.0
            0.0    ok -> replace{; wake 60.0
            0.0    page rv=10 a@7 -> a@7; } rv=10 epoch=0; WATCH rv=10; wake 130.0
            0.0    ok -> wake 130.0
            0.0    MODIFIED a@11 -> updated a@11; wake 130.0
            0.0    closed -> close; wake 0.8
            0.8    tick -> WATCH rv=11; wake 130.8
            0.8    ok -> wake 130.8
            0.8    MODIFIED a@12 -> updated a@12; wake 130.8
            0.8    closed -> close; wake 2.8
            2.8    tick -> WATCH rv=12; wake 132.8
            2.8    ok -> wake 132.8
            2.8    MODIFIED a@13 -> updated a@13; wake 132.8
            2.8    closed -> close; wake 7.0
            7.0    tick -> WATCH rv=13; wake 137.0
        "#]],
    );
}

/// A link on which each answer takes more than a second: the streams are as short as on any other.
/// One whose answer a proxy keeps back for half a minute, and lets go at its end, was merely quiet.
#[test]
fn pr_w12_a_slow_link_does_not_make_a_short_stream_long() {
    let closed_after = |seconds: u64| {
        let mut script = "start\nok\npage rv=10 a@7\nok\nt=10s closed\n".to_owned();
        for attempt in 1..=5_u64 {
            let at = 100 * attempt;
            let answered = at + seconds;
            script.push_str(&format!("t={at}s tick\nt={answered}s ok\nclosed\n"));
        }
        let config = Config {
            list_mode: ListMode::Whole,
            ..Config::default()
        };
        let (trace, _) = trace(config, &script);
        trace.matches("LIST rv=''").count()
    };
    assert_eq!(
        closed_after(2),
        2,
        "the first list, and one after four short streams"
    );
    assert_eq!(closed_after(30), 1);
}

/// Every watch is closed as soon as it opens (pr-F28).
#[test]
fn pr_w12_pr_w17_streams_that_end_at_once_lead_to_a_list_after_four() {
    let config = Config {
        list_mode: ListMode::Whole,
        ..Config::default()
    };
    check_with(
        config,
        "
            start
            ok
            page rv=10 a@7
            ok
            closed
            tick
            ok
            closed
            tick
            ok
            closed
            tick
            ok
            closed
            tick
        ",
        expect![[r#"
            0.0    start -> LIST rv=''; wake 60.0
            0.0    ok -> replace{; wake 60.0
            0.0    page rv=10 a@7 -> a@7; } rv=10 epoch=0; WATCH rv=10; wake 130.0
            0.0    ok -> wake 130.0
            0.0    closed -> close; wake 0.8
            0.8    tick -> WATCH rv=10; wake 130.8
            0.8    ok -> wake 130.8
            0.8    closed -> close; wake 2.8
            2.8    tick -> WATCH rv=10; wake 132.8
            2.8    ok -> wake 132.8
            2.8    closed -> close; wake 7.0
            7.0    tick -> WATCH rv=10; wake 137.0
            7.0    ok -> wake 137.0
            7.0    closed -> close; wake 15.6
            15.6   tick -> LIST rv=''; wake 75.6
        "#]],
    );
}

#[test]
fn pr_f14_a_bookmark_without_or_with_a_lower_version_moves_nothing() {
    check(
        "
            start
            ok
            ADDED a@7
            ADDED b@9
            initial-end 10
            t=1s bookmark ''
            bookmark 9
            bookmark 11
            t=60s broken
            tick
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    ADDED b@9 -> b@9; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            1.0    bookmark '' -> wake 131.0
            1.0    bookmark 9 -> wake 131.0
            1.0    bookmark 11 -> bookmark 11; wake 131.0
            60.0   broken -> close; wake 60.0
            60.0   tick -> WATCH rv=11; wake 190.0
        "#]],
    );
}

#[test]
fn pr_e13_events_may_share_a_version() {
    check(
        "
            start
            ok
            ADDED a@7
            ADDED b@9
            initial-end 10
            t=1s DELETED a@12
            DELETED b@12
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    ADDED b@9 -> b@9; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            1.0    DELETED a@12 -> deleted a@12; wake 131.0
            1.0    DELETED b@12 -> deleted b@12; wake 131.0
        "#]],
    );
}

#[test]
fn pr_1_7_an_event_from_the_past_leads_to_a_consistent_list() {
    check(
        "
            start
            ok
            ADDED a@7
            ADDED b@9
            initial-end 10
            t=1s MODIFIED a@12
            MODIFIED a@11
            tick
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    ADDED b@9 -> b@9; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            1.0    MODIFIED a@12 -> updated a@12; wake 131.0
            1.0    MODIFIED a@11 -> close; wake 1.8
            1.8    tick -> WATCHLIST rv=''; wake 31.8
        "#]],
    );
}

#[test]
fn pr_e7_pr_1_7_unfit_frames_do_not_move_the_version_and_three_lead_to_a_list() {
    check(
        "
            start
            ok
            ADDED a@7
            ADDED b@9
            initial-end 10
            t=1s unfit
            ADDED ??
            t=2s unfit
            tick
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    ADDED b@9 -> b@9; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            1.0    unfit -> wake 131.0
            1.0    ADDED ?? -> wake 131.0
            2.0    unfit -> close; wake 2.8
            2.8    tick -> WATCHLIST rv=''; wake 32.8
        "#]],
    );
}

#[test]
fn pr_f44_an_object_without_a_version_is_unfit() {
    check(
        "
            start
            ok
            ADDED a@7
            ADDED b@9
            initial-end 10
            t=1s ADDED c@
            t=2s broken
            tick
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    ADDED b@9 -> b@9; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            1.0    ADDED c@ -> wake 131.0
            2.0    broken -> close; wake 2.0
            2.0    tick -> WATCH rv=10; wake 132.0
        "#]],
    );
}

#[test]
fn cg_r1_a_watch_that_outlives_its_timeout_is_dead() {
    let config = Config {
        silence_max: Duration::from_secs(3600),
        ..Config::default()
    };
    check_with(
        config,
        "
            start
            ok
            ADDED a@7
            ADDED b@9
            initial-end 10
            tick
            tick
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    ADDED b@9 -> b@9; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 510.7
            510.7  tick -> close; wake 511.5
            511.5  tick -> WATCH rv=10; wake 870.0
        "#]],
    );
}

#[test]
fn cg_r26_nothing_follows_a_stop() {
    check(
        "
            start
            ok
            ADDED a@7
            stop
            t=1s ADDED b@8
            closed
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    stop -> }abort; close
            1.0    ADDED b@8 -> 
            1.0    closed -> 
        "#]],
    );
}
