//! Stopping, with and without giving the lease back.

use super::*;

const LEADING: &str = "start\nfound -@10 tr=3\nstored 11\n";

fn leading(script: &str) -> String {
    format!("{LEADING}{script}")
}

#[test]
fn ctl_l11_cg_e8_a_leader_that_stops_empties_the_holder_and_keeps_the_transitions() {
    check(
        &leading(
            "
            t=1s stop
            t=1.1s stored 12
            t=9s tick
            ",
        ),
        expect![[r#"
            0.0   start -> GET; wake 5.0
            0.0   found -@10 tr=3 -> UPDATE me d=15 at=0..0 tr=4 rv=10; wake 5.0
            0.0   stored 11 -> leader 'me'; lead fencing=4 until=10s; wake 2.0
            1.0   stop -> stop: stopped; UPDATE - d=1 at=1000000..1000000 tr=4 rv=11; wake 6.0
            1.1   stored 12 -> leader ''; released
            18446744073.7 tick -> 
        "#]],
    );
}

/// What is in flight is waited for: it decides what there is to release.
#[test]
fn ctl_l11_a_renewal_in_flight_is_waited_for() {
    check(
        &leading(
            "
            tick
            t=2.1s stop
            t=2.2s stored 12
            t=2.3s stored 13
            ",
        ),
        expect![[r#"
            0.0   start -> GET; wake 5.0
            0.0   found -@10 tr=3 -> UPDATE me d=15 at=0..0 tr=4 rv=10; wake 5.0
            0.0   stored 11 -> leader 'me'; lead fencing=4 until=10s; wake 2.0
            2.0   tick -> UPDATE me d=15 at=0..2000000 tr=4 rv=11; wake 7.0
            2.1   stop -> stop: stopped; wake 7.0
            2.2   stored 12 -> UPDATE - d=1 at=2200000..2200000 tr=4 rv=12; wake 7.2
            2.3   stored 13 -> leader ''; released
        "#]],
    );
}

#[test]
fn ctl_l11_cg_e8_a_conflict_is_tried_again() {
    check(
        &leading(
            "
            t=1s stop
            t=1.1s conflict
            t=1.2s found own1@12
            t=1.3s stored 13
            ",
        ),
        expect![[r#"
            0.0   start -> GET; wake 5.0
            0.0   found -@10 tr=3 -> UPDATE me d=15 at=0..0 tr=4 rv=10; wake 5.0
            0.0   stored 11 -> leader 'me'; lead fencing=4 until=10s; wake 2.0
            1.0   stop -> stop: stopped; UPDATE - d=1 at=1000000..1000000 tr=4 rv=11; wake 6.0
            1.1   conflict -> GET; wake 6.1
            1.2   found own1@12 -> UPDATE - d=1 at=1200000..1200000 tr=4 rv=12; wake 6.2
            1.3   stored 13 -> leader ''; released
        "#]],
    );
}

#[test]
fn ctl_l11_cg_e8_a_release_is_tried_for_the_renew_deadline() {
    check(
        &leading(
            "
            t=1s stop
            t=1.1s unknown
            t=1.2s get-failed
            tick
            get-failed
            tick
            get-failed
            tick
            tick
            tick
            ",
        ),
        expect![[r#"
            0.0   start -> GET; wake 5.0
            0.0   found -@10 tr=3 -> UPDATE me d=15 at=0..0 tr=4 rv=10; wake 5.0
            0.0   stored 11 -> leader 'me'; lead fencing=4 until=10s; wake 2.0
            1.0   stop -> stop: stopped; UPDATE - d=1 at=1000000..1000000 tr=4 rv=11; wake 6.0
            1.1   unknown -> GET; wake 6.1
            1.2   get-failed -> wake 3.2
            3.2   tick -> GET; wake 8.2
            3.2   get-failed -> wake 5.2
            5.2   tick -> GET; wake 10.2
            5.2   get-failed -> wake 7.2
            7.2   tick -> GET; wake 11.0
            11.0  tick -> given up
            18446744073.7 tick -> 
        "#]],
    );
}

/// A release whose answer was lost is seen by the get.
#[test]
fn a_release_that_landed_unheard_is_done() {
    check(
        &leading(
            "
            t=1s stop
            t=1.1s unknown
            t=1.2s found own@12
            ",
        ),
        expect![[r#"
            0.0   start -> GET; wake 5.0
            0.0   found -@10 tr=3 -> UPDATE me d=15 at=0..0 tr=4 rv=10; wake 5.0
            0.0   stored 11 -> leader 'me'; lead fencing=4 until=10s; wake 2.0
            1.0   stop -> stop: stopped; UPDATE - d=1 at=1000000..1000000 tr=4 rv=11; wake 6.0
            1.1   unknown -> GET; wake 6.1
            1.2   found own@12 -> leader ''; released
        "#]],
    );
}

#[test]
fn cg_e8_only_a_holder_releases() {
    for script in ["start\nfound a@10\nstop", "stop", "start\nstop"] {
        let (trace, _) = trace(Config::default(), script);
        let last = trace.lines().last().unwrap();
        assert!(last.ends_with("stop -> released"), "{trace}");
        assert!(!trace.contains("UPDATE"), "{trace}");
    }
}

/// A write that nobody has answered may still make this one the holder.
#[test]
fn ctl_l11_an_acquisition_in_doubt_is_released_too() {
    check(
        "
        start
        found -@10
        t=1s unknown
        t=1.1s stop
        t=1.2s found own@11
        t=1.3s stored 12
        ",
        expect![[r#"
            0.0   start -> GET; wake 5.0
            0.0   found -@10 -> UPDATE me d=15 at=0..0 tr=1 rv=10; wake 5.0
            1.0   unknown -> GET; wake 6.0
            1.1   stop -> GET; wake 6.1
            1.2   found own@11 -> leader 'me'; UPDATE - d=1 at=1200000..1200000 tr=1 rv=11; wake 6.2
            1.3   stored 12 -> leader ''; released
        "#]],
    );
}

#[test]
fn ctl_l11_without_release_the_record_is_left_to_expire() {
    let config = Config {
        release_on_stop: false,
        ..Config::default()
    };
    check_with(
        config,
        &leading("t=1s stop"),
        expect![[r#"
            0.0   start -> GET; wake 5.0
            0.0   found -@10 tr=3 -> UPDATE me d=15 at=0..0 tr=4 rv=10; wake 5.0
            0.0   stored 11 -> leader 'me'; lead fencing=4 until=10s; wake 2.0
            1.0   stop -> stop: stopped; given up
        "#]],
    );
}

/// Nothing follows a stop, and a second one is none.
#[test]
fn cg_e7_ctl_l10_a_stopped_elector_says_so_once_and_does_nothing_more() {
    let script = leading("stop\nstop\nstored 12\nstop\nsaw -@13\ntick\nstart");
    let (trace, elector) = trace(Config::default(), &script);
    assert_eq!(trace.matches("released").count(), 1, "{trace}");
    assert_eq!(trace.matches("stop: stopped").count(), 1, "{trace}");
    assert!(trace.ends_with("start -> \n"), "{trace}");
    assert!(elector.term().is_none());
}
