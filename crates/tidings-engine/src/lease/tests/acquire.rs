//! Candidates: when the lease is free, and for whom.

use std::collections::BTreeSet;

use super::*;

fn calm() -> Config {
    Config {
        take_jitter_max: Duration::ZERO,
        ..Config::default()
    }
}

#[test]
fn ctl_l1_cg_e1_the_durations_must_fit_each_other() {
    let seconds = Duration::from_secs;
    let config = |lease, renew, retry| Config {
        lease_duration: lease,
        renew_deadline: renew,
        retry_period: retry,
        ..Config::default()
    };
    let millis = Duration::from_millis;
    for (config, expected) in [
        (config(seconds(15), seconds(10), seconds(2)), Ok(())),
        (config(seconds(3), millis(2401), seconds(2)), Ok(())),
        (
            config(seconds(10), seconds(10), seconds(2)),
            Err(ConfigError::LeaseDurationTooShort),
        ),
        (
            config(seconds(3), millis(2400), seconds(2)),
            Err(ConfigError::RenewDeadlineTooShort),
        ),
        (
            config(millis(15_500), seconds(10), seconds(2)),
            Err(ConfigError::LeaseDurationNotWholeSeconds),
        ),
        (
            config(seconds(1 << 40), seconds(10), seconds(2)),
            Err(ConfigError::LeaseDurationNotWholeSeconds),
        ),
        (
            config(seconds(15), seconds(10), seconds(0)),
            Err(ConfigError::Zero {
                which: "retry_period",
            }),
        ),
    ] {
        assert_eq!(config.validate(), expected, "{config:?}");
        let built = LeaderElector::try_new(config, "me").map(|_| ());
        assert_eq!(built, expected);
    }
    let nobody = LeaderElector::try_new(Config::default(), "").map(|_| ());
    assert_eq!(nobody, Err(ConfigError::EmptyIdentity));
}

#[test]
fn ctl_l2_the_defaults_are_client_gos() {
    let config = Config::default();
    let seconds = Duration::from_secs;
    let own = (config.lease_duration, config.renew_deadline);
    assert_eq!(own, (seconds(15), seconds(10)));
    assert_eq!(config.retry_period, seconds(2));
    assert_eq!(config.request_timeout(), seconds(5));
    assert!(config.release_on_stop);
}

/// What does not exist is created, and whoever created it leads from when it was sent.
#[test]
fn ctl_l6_cg_e6_an_absent_lease_is_created() {
    check(
        "
        start
        t=0.1s absent
        t=0.3s stored 11
        ",
        expect![[r#"
            0.0   start -> GET; wake 5.0
            0.1   absent -> CREATE me d=15 at=100000..100000 tr=0; wake 5.1
            0.3   stored 11 -> leader 'me'; lead fencing=0 until=10.1s; wake 2.1
        "#]],
    );
}

/// Losing the race for a lease that is absent: the winner is asked for by the next poll.
#[test]
fn ctl_l6_a_lost_race_is_a_conflict_and_waits_for_the_next_poll() {
    check(
        "
        start
        absent
        t=0.1s conflict
        tick
        found a@11
        ",
        expect![[r#"
            0.0   start -> GET; wake 5.0
            0.0   absent -> CREATE me d=15 at=0..0 tr=0; wake 5.0
            0.1   conflict -> wake 2.3
            2.3   tick -> GET; wake 7.3
            2.3   found a@11 -> leader 'a'; wake 4.4
        "#]],
    );
}

/// Its own clock alone: however old or young the times in the record are.
#[test]
fn ctl_l4_cg_e4_pr_n11_a_lease_expires_when_it_has_not_changed_for_its_duration_since_first_seen() {
    check_with(
        calm(),
        "
        start
        t=1s found a@10 r=999999999
        t=4.4s tick
        found a@10 r=999999999
        t=14s tick
        found a@10 r=999999998
        t=20s tick
        found a@11 r=999999998
        t=28.9s tick
        found a@11 r=999999998
        tick
        ",
        expect![[r#"
            0.0   start -> GET; wake 5.0
            1.0   found a@10 r=999999999 -> leader 'a'; wake 4.4
            4.4   tick -> GET; wake 9.4
            4.4   found a@10 r=999999999 -> wake 6.6
            14.0  tick -> GET; wake 19.0
            14.0  found a@10 r=999999998 -> wake 16.1
            20.0  tick -> GET; wake 25.0
            20.0  found a@11 r=999999998 -> wake 23.5
            28.9  tick -> GET; wake 33.9
            28.9  found a@11 r=999999998 -> wake 29.0
            29.0  tick -> UPDATE me d=15 at=29000000..29000000 tr=1 rv=11; wake 34.0
        "#]],
    );
}

/// The duration is that of the record, not that of the candidate.
#[test]
fn ctl_l4_the_holder_says_for_how_long_it_holds() {
    check_with(
        calm(),
        "
        start
        t=1s found a@10 d=3
        tick
        ",
        expect![[r#"
            0.0   start -> GET; wake 5.0
            1.0   found a@10 d=3 -> leader 'a'; wake 4.0
            4.0   tick -> UPDATE me d=15 at=4000000..4000000 tr=1 rv=10; wake 9.0
        "#]],
    );
}

#[test]
fn ctl_l4_a_record_without_a_duration_holds_for_ours() {
    let (_, mut elector) = trace(calm(), "start");
    let record = Record {
        holder: "a".to_owned(),
        ..Record::default()
    };
    let version = tidings_api::ResourceVersion::from_revision(10);
    for duration_seconds in [None, Some(0), Some(-5)] {
        let record = Record {
            duration_seconds,
            ..record.clone()
        };
        let seen = Seen {
            record,
            version: version.clone(),
        };
        let now = Instant::ZERO;
        let learned = (elector.lease).learn(now, seen, Source::Answer { news: 0 }, Duration::ZERO);
        elector.lease = match learned {
            Learned::Taken { .. } => {
                let at = |millis| now + Duration::from_millis(millis);
                assert!(!elector.lease.is_free(at(14_999), Duration::from_secs(15)));
                assert!(elector.lease.is_free(at(15_000), Duration::from_secs(15)));
                Knowledge::new("me".to_owned())
            }
            other => panic!("{other:?}"),
        };
    }
}

/// A fresh candidate cannot know how long the holder has been dead.
#[test]
fn ctl_l5_a_fresh_candidate_waits_a_whole_duration_from_first_sight() {
    let (trace, _) = trace(
        calm(),
        "
        t=100s start
        found a@10
        t=114.9s tick
        found a@10
        tick
        ",
    );
    let last = trace.lines().last().unwrap();
    assert!(last.contains("UPDATE me"), "{trace}");
    assert_eq!(trace.matches("UPDATE").count(), 1, "{trace}");
}

#[test]
fn ctl_l7_an_empty_holder_is_free_at_once_whatever_its_times_say() {
    check(
        "
        start
        found -@10 d=100 r=999999999 tr=4
        t=0.1s stored 11
        ",
        expect![[r#"
            0.0   start -> GET; wake 5.0
            0.0   found -@10 d=100 r=999999999 tr=4 -> UPDATE me d=15 at=0..0 tr=5 rv=10; wake 5.0
            0.1   stored 11 -> leader 'me'; lead fencing=5 until=10s; wake 2.0
        "#]],
    );
}

/// A process that restarts with the identity of the one before cannot tell whether that one is dead.
#[test]
fn ctl_l15_our_identity_in_a_record_that_we_did_not_write_is_another_ones() {
    check_with(
        calm(),
        "
        start
        found me@10 tr=4
        t=15s tick
        t=15.1s stored 11
        ",
        expect![[r#"
            0.0   start -> GET; wake 5.0
            0.0   found me@10 tr=4 -> leader 'me'; wake 3.4
            15.0  tick -> UPDATE me d=15 at=15000000..15000000 tr=5 rv=10; wake 20.0
            15.1  stored 11 -> lead fencing=5 until=25s; wake 17.0
        "#]],
    );
}

#[test]
fn ctl_l3_cg_e2_polls_are_one_period_to_twice_and_a_fifth_apart() {
    let mut delays = BTreeSet::new();
    for seed in 0..1000 {
        let config = Config {
            seed,
            ..Config::default()
        };
        let (_, mut elector) = trace(config, "start\nfound a@10");
        match elector.poll_output() {
            Output::Idle { wake_at } => delays.insert(wake_at.as_nanos() / 1_000_000),
            other => panic!("{other}"),
        };
    }
    let (least, most) = (delays.first().unwrap(), delays.last().unwrap());
    assert!((2000..2050).contains(least), "{least} ms");
    assert!((4350..4400).contains(most), "{most} ms");
}

/// The server's wish is the least that a candidate waits.
#[test]
fn a_candidate_waits_as_long_as_the_server_asks() {
    check(
        "
        start
        get-failed retry=30
        ",
        expect![[r#"
            0.0   start -> GET; wake 5.0
            0.0   get-failed retry=30 -> wake 30.0
        "#]],
    );
}

/// The write may have landed although nobody said so: a get tells, and the term counts from the sending.
#[test]
fn cg_e5_an_acquisition_without_an_answer_is_asked_for() {
    check(
        "
        start
        found -@10
        t=1s unknown
        t=1.2s found own@11
        ",
        expect![[r#"
            0.0   start -> GET; wake 5.0
            0.0   found -@10 -> UPDATE me d=15 at=0..0 tr=1 rv=10; wake 5.0
            1.0   unknown -> GET; wake 6.0
            1.2   found own@11 -> leader 'me'; lead fencing=1 until=10s; wake 2.0
        "#]],
    );
}

#[test]
fn a_request_without_an_answer_is_given_up_and_its_late_answer_ignored() {
    check(
        "
        start
        found -@10
        tick
        t=5.1s old stored 11
        t=5.2s found own@11
        ",
        expect![[r#"
            0.0   start -> GET; wake 5.0
            0.0   found -@10 -> UPDATE me d=15 at=0..0 tr=1 rv=10; wake 5.0
            5.0   tick -> GET; wake 10.0
            5.1   old stored 11 -> wake 10.0
            5.2   found own@11 -> leader 'me'; lead fencing=1 until=10s; UPDATE me d=15 at=0..5200000 tr=1 rv=11; wake 10.0
        "#]],
    );
}

/// A write that landed too late to lead by is renewed before anybody leads.
#[test]
fn an_acquisition_that_lands_after_its_deadline_is_renewed_first() {
    check(
        "
        start
        found -@10
        tick
        tick
        tick
        t=12.4s found own@11
        t=15s stored 12
        ",
        expect![[r#"
            0.0   start -> GET; wake 5.0
            0.0   found -@10 -> UPDATE me d=15 at=0..0 tr=1 rv=10; wake 5.0
            5.0   tick -> GET; wake 10.0
            10.0  tick -> wake 12.2
            12.2  tick -> GET; wake 17.2
            12.4  found own@11 -> leader 'me'; UPDATE me d=15 at=0..12400000 tr=1 rv=11; wake 17.4
            15.0  stored 12 -> lead fencing=1 until=22.4s; UPDATE me d=15 at=0..15000000 tr=1 rv=12; wake 20.0
        "#]],
    );
}

/// The token does not go back where this candidate knows better: somebody deleted the Lease, or wrote it anew.
#[test]
fn ctl_l13_transitions_never_go_back_for_who_has_seen_more() {
    for news in ["saw-absent 11", "saw -@11 tr=0"] {
        let script = format!("start\nfound a@10 tr=8\n{news}\nstored 12");
        let (trace, elector) = trace(calm(), &script);
        assert_eq!(elector.term().unwrap().fencing, 9, "{trace}");
    }
}
