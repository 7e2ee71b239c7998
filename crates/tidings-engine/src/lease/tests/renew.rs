//! Leaders: renewing, and when leadership ends.

use super::*;

/// Took the lease at 0 s, with version 11.
const LEADING: &str = "start\nfound -@10 tr=3\nstored 11\n";

fn leading(script: &str) -> String {
    format!("{LEADING}{script}")
}

#[test]
fn ctl_l8_cg_e3_cg_e5_a_renewal_is_one_update_each_period_at_the_version_of_the_last() {
    check(
        &leading(
            "
            tick
            t=2.3s stored 12
            tick
            t=4.1s stored 13
            ",
        ),
        expect![[r#"
            0.0   start -> GET; wake 5.0
            0.0   found -@10 tr=3 -> UPDATE me d=15 at=0..0 tr=4 rv=10; wake 5.0
            0.0   stored 11 -> leader 'me'; lead fencing=4 until=10s; wake 2.0
            2.0   tick -> UPDATE me d=15 at=0..2000000 tr=4 rv=11; wake 7.0
            2.3   stored 12 -> wake 4.0
            4.0   tick -> UPDATE me d=15 at=0..4000000 tr=4 rv=12; wake 9.0
            4.1   stored 13 -> wake 6.0
        "#]],
    );
}

/// What counts is when the renewal was sent: the others may have seen it as early as that.
#[test]
fn ctl_l9_leadership_counts_from_the_sending_of_the_last_renewal() {
    let (trace, elector) = trace(Config::default(), &leading("t=2s tick\nt=4s stored 12"));
    let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
    let term = elector.term().unwrap();
    assert_eq!((term.renewed_at, term.valid_until), (at(2), at(12)));
    assert!(term.is_valid(Instant::from_nanos(at(12).as_nanos() - 1)));
    assert!(!term.is_valid(at(12)), "{trace}");
}

#[test]
fn ctl_l8_cg_e5_a_failed_renewal_is_followed_by_a_get_at_once() {
    for failure in ["conflict", "unknown", "refused"] {
        let (trace, _) = trace(
            Config::default(),
            &leading(&format!("tick\nt=2.1s {failure}\nt=2.2s found own1@12")),
        );
        let lines: Vec<&str> = trace.lines().collect();
        assert!(lines[4].contains("-> GET; wake"), "{trace}");
        assert!(lines[5].contains("-> UPDATE me"), "{trace}");
        assert!(lines[5].contains("rv=12"), "{trace}");
    }
}

/// Every failure after the first is waited out, so that nobody is asked in a loop.
#[test]
fn failures_in_a_row_wait_for_a_period() {
    check(
        &leading(
            "
            tick
            refused
            found own1@11
            refused
            tick
            get-failed
            tick
            found own1@11
            stored 12
            ",
        ),
        expect![[r#"
            0.0   start -> GET; wake 5.0
            0.0   found -@10 tr=3 -> UPDATE me d=15 at=0..0 tr=4 rv=10; wake 5.0
            0.0   stored 11 -> leader 'me'; lead fencing=4 until=10s; wake 2.0
            2.0   tick -> UPDATE me d=15 at=0..2000000 tr=4 rv=11; wake 7.0
            2.0   refused -> GET; wake 7.0
            2.0   found own1@11 -> UPDATE me d=15 at=0..2000001 tr=4 rv=11; wake 7.0
            2.0   refused -> wake 4.0
            4.0   tick -> GET; wake 9.0
            4.0   get-failed -> wake 6.0
            6.0   tick -> GET; wake 10.0
            6.0   found own1@11 -> UPDATE me d=15 at=0..6000000 tr=4 rv=11; wake 10.0
            6.0   stored 12 -> wake 8.0
        "#]],
    );
}

#[test]
fn ctl_l9_cg_e3_a_leader_that_cannot_renew_stops_at_its_deadline() {
    check(
        &leading(
            "
            tick
            t=2.1s unknown
            t=2.2s get-failed
            tick
            t=4.3s get-failed
            tick
            tick
            tick
            tick
            ",
        ),
        expect![[r#"
            0.0   start -> GET; wake 5.0
            0.0   found -@10 tr=3 -> UPDATE me d=15 at=0..0 tr=4 rv=10; wake 5.0
            0.0   stored 11 -> leader 'me'; lead fencing=4 until=10s; wake 2.0
            2.0   tick -> UPDATE me d=15 at=0..2000000 tr=4 rv=11; wake 7.0
            2.1   unknown -> GET; wake 7.1
            2.2   get-failed -> wake 4.2
            4.2   tick -> GET; wake 9.2
            4.3   get-failed -> wake 6.3
            6.3   tick -> GET; wake 10.0
            10.0  tick -> stop: no renewal succeeded in time; wake 11.3
            11.3  tick -> wake 13.5
            13.5  tick -> GET; wake 18.5
        "#]],
    );
}

/// Whatever is in flight, and whatever comes first at or after the deadline.
#[test]
fn ctl_l9_the_first_input_after_the_deadline_ends_the_term() {
    for input in ["tick", "stored 12", "conflict", "saw a@5", "stop"] {
        let script = leading(&format!("t=9.9s tick\nt=10s {input}"));
        let (trace, _) = trace(Config::default(), &script);
        let last = trace.lines().last().unwrap();
        assert!(
            last.contains("-> stop: no renewal succeeded in time"),
            "{trace}"
        );
    }
}

/// A renewal that is answered after the deadline begins a new term with the same token: nobody else
/// had the lease.
#[test]
fn a_renewal_that_landed_gives_the_lease_back() {
    check(
        &leading(
            "
            t=9.9s tick
            t=10s tick
            t=10.2s stored 12
            ",
        ),
        expect![[r#"
            0.0   start -> GET; wake 5.0
            0.0   found -@10 tr=3 -> UPDATE me d=15 at=0..0 tr=4 rv=10; wake 5.0
            0.0   stored 11 -> leader 'me'; lead fencing=4 until=10s; wake 2.0
            9.9   tick -> UPDATE me d=15 at=0..9900000 tr=4 rv=11; wake 10.0
            10.0  tick -> stop: no renewal succeeded in time; wake 14.9
            10.2  stored 12 -> lead fencing=4 until=19.9s; wake 11.9
        "#]],
    );
}

#[test]
fn ctl_l13_cg_e6_transitions_move_only_when_the_lease_changes_hands() {
    let script = leading(
        "tick\nstored 12\nt=30s tick\nstored 13\nsaw a@14 tr=5\nsaw -@15 tr=5\ntick\nstored 16",
    );
    let (trace, elector) = trace(Config::default(), &script);
    assert_eq!(trace.matches("lead fencing=4").count(), 2, "{trace}");
    assert_eq!(elector.term().unwrap().fencing, 6, "{trace}");
}

#[test]
fn a_lease_that_somebody_else_took_is_lost_at_once() {
    check(
        &leading(
            "
            tick
            t=2.1s conflict
            t=2.2s found a@12 tr=5
            ",
        ),
        expect![[r#"
            0.0   start -> GET; wake 5.0
            0.0   found -@10 tr=3 -> UPDATE me d=15 at=0..0 tr=4 rv=10; wake 5.0
            0.0   stored 11 -> leader 'me'; lead fencing=4 until=10s; wake 2.0
            2.0   tick -> UPDATE me d=15 at=0..2000000 tr=4 rv=11; wake 7.0
            2.1   conflict -> GET; wake 7.1
            2.2   found a@12 tr=5 -> leader 'a'; stop: the lease was lost to a; wake 4.4
        "#]],
    );
}

#[test]
fn ctl_l15_a_renewal_by_another_process_with_this_identity_is_noticed() {
    check(
        &leading(
            "
            tick
            t=2.1s conflict
            t=2.2s found me@12 tr=4 r=77
            ",
        ),
        expect![[r#"
            0.0   start -> GET; wake 5.0
            0.0   found -@10 tr=3 -> UPDATE me d=15 at=0..0 tr=4 rv=10; wake 5.0
            0.0   stored 11 -> leader 'me'; lead fencing=4 until=10s; wake 2.0
            2.0   tick -> UPDATE me d=15 at=0..2000000 tr=4 rv=11; wake 7.0
            2.1   conflict -> GET; wake 7.1
            2.2   found me@12 tr=4 r=77 -> stop: another process renews with this identity; wake 4.4
        "#]],
    );
}

/// An answer that was lost: the conflict is with our own write.
#[test]
fn a_renewal_that_landed_unheard_is_no_theft() {
    check(
        &leading(
            "
            tick
            t=2.1s unknown
            t=2.2s found own1@11
            t=2.3s conflict
            tick
            t=4.4s found own2@12
            ",
        ),
        expect![[r#"
            0.0   start -> GET; wake 5.0
            0.0   found -@10 tr=3 -> UPDATE me d=15 at=0..0 tr=4 rv=10; wake 5.0
            0.0   stored 11 -> leader 'me'; lead fencing=4 until=10s; wake 2.0
            2.0   tick -> UPDATE me d=15 at=0..2000000 tr=4 rv=11; wake 7.0
            2.1   unknown -> GET; wake 7.1
            2.2   found own1@11 -> UPDATE me d=15 at=0..2200000 tr=4 rv=11; wake 7.2
            2.3   conflict -> wake 4.3
            4.3   tick -> GET; wake 9.3
            4.4   found own2@12 -> UPDATE me d=15 at=0..4400000 tr=4 rv=12; wake 9.4
        "#]],
    );
}

/// A leader does not let the server's wish cost it the lease.
#[test]
fn a_leader_waits_no_longer_than_half_of_what_it_has_left() {
    check(
        &leading(
            "
            tick
            refused retry=60
            ",
        ),
        expect![[r#"
            0.0   start -> GET; wake 5.0
            0.0   found -@10 tr=3 -> UPDATE me d=15 at=0..0 tr=4 rv=10; wake 5.0
            0.0   stored 11 -> leader 'me'; lead fencing=4 until=10s; wake 2.0
            2.0   tick -> UPDATE me d=15 at=0..2000000 tr=4 rv=11; wake 7.0
            2.0   refused retry=60 -> wake 6.0
        "#]],
    );
}

/// A wall clock that stands still, or goes back: each renewal is a change nevertheless.
#[test]
fn ctl_l4_every_renewal_changes_the_record_whatever_the_wall_clock_says() {
    let mut elector = LeaderElector::try_new(Config::default(), "me").unwrap();
    let mut times = std::collections::BTreeSet::new();
    let (mut now, mut version) = (Instant::ZERO, 10);
    let mut input = Input::Start;
    for _ in 0..20 {
        elector.handle(now, Wall(7), input);
        input = Input::Tick;
        loop {
            match elector.poll_output() {
                Output::Get { id } => {
                    let outcome = GetOutcome::NotFound;
                    elector.handle(now, Wall(7), Input::GetAnswered { id, outcome });
                }
                Output::Create { id, record } | Output::Update { id, record, .. } => {
                    assert!(times.insert(record.renew_time.unwrap().0), "{record}");
                    version += 1;
                    let version = tidings_api::ResourceVersion::from_revision(version);
                    let outcome = WriteOutcome::Stored { version };
                    elector.handle(now, Wall(7), Input::WriteAnswered { id, outcome });
                    // A repetition is one of the record before the last, which nobody sees any more.
                    times.retain(|time| *time == record.renew_time.unwrap().0);
                }
                Output::Idle { wake_at } => {
                    now = wake_at;
                    break;
                }
                _ => {}
            }
        }
    }
    assert!(version > 25, "it renewed: {version}");
}

/// An alarm may ring early, at any time.
#[test]
fn an_early_tick_changes_nothing() {
    for script in ["start", "start\nfound a@10", LEADING, "start\nfound -@10"] {
        let (_, mut elector) = trace(Config::default(), script);
        let Output::Idle { wake_at } = elector.poll_output() else {
            panic!("outputs are left");
        };
        let before = Instant::from_nanos(wake_at.as_nanos() - 1);
        elector.handle(before, Wall(1), Input::Tick);
        assert_eq!(elector.poll_output(), Output::Idle { wake_at }, "{script}");
    }
}
