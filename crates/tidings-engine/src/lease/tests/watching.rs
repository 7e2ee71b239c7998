//! What the watch adds: news come sooner, and late ones do no harm.

use super::*;

const LEADING: &str = "start\nfound -@10 tr=3\nstored 11\n";

fn leading(script: &str) -> String {
    format!("{LEADING}{script}")
}

/// client-go polls alone (ctl-L3), so that a graceful hand-over takes up to 4.4 s (ctl-L12).
#[test]
fn ctl_l3_ctl_l12_a_release_that_the_watch_shows_is_taken_within_the_jitter() {
    check(
        "
        start
        found a@10
        t=1s saw -@11
        tick
        t=1.2s stored 12
        ",
        expect![[r#"
            0.0   start -> GET; wake 5.0
            0.0   found a@10 -> leader 'a'; wake 3.4
            1.0   saw -@11 -> leader ''; wake 1.0
            1.0   tick -> UPDATE me d=15 at=1009475..1009475 tr=1 rv=11; wake 6.0
            1.2   stored 12 -> leader 'me'; lead fencing=1 until=11.009475908s; wake 3.0
        "#]],
    );
}

#[test]
fn a_deletion_that_the_watch_shows_is_met_by_a_create() {
    check(
        "
        start
        found a@10 tr=2
        t=1s saw-absent 11
        tick
        ",
        expect![[r#"
            0.0   start -> GET; wake 5.0
            0.0   found a@10 tr=2 -> leader 'a'; wake 3.4
            1.0   saw-absent 11 -> leader ''; wake 1.0
            1.0   tick -> CREATE me d=15 at=1009475..1009475 tr=3; wake 6.0
        "#]],
    );
}

/// Of ten standbys that see one release, few write at one time.
#[test]
fn ctl_l6_standbys_do_not_take_a_free_lease_all_at_one_time() {
    let mut times = std::collections::BTreeSet::new();
    for seed in 0..10 {
        let config = Config {
            seed,
            ..Config::default()
        };
        let (_, mut elector) = trace(config, "start\nfound a@10\nt=1s saw -@11");
        let Output::Idle { wake_at } = elector.poll_output() else {
            panic!("outputs are left");
        };
        let wait = wake_at.saturating_since(Instant::ZERO + Duration::from_secs(1));
        assert!(wait <= Duration::from_millis(100), "{wait:?}");
        times.insert(wait.as_millis());
    }
    assert!(times.len() >= 8, "{times:?}");
}

/// The one that was faster is seen before the own jitter is over: nothing is written.
#[test]
fn a_free_lease_that_another_takes_meanwhile_is_left_alone() {
    check(
        "
        start
        found a@10
        t=1s saw -@11
        saw b@12 tr=1
        tick
        ",
        expect![[r#"
            0.0   start -> GET; wake 5.0
            0.0   found a@10 -> leader 'a'; wake 3.4
            1.0   saw -@11 -> leader ''; wake 1.0
            1.0   saw b@12 tr=1 -> leader 'b'; wake 3.4
            3.4   tick -> GET; wake 8.4
        "#]],
    );
}

/// The holder's last renewal as the watch showed it, not the last poll, begins the waiting.
#[test]
fn ctl_l12_an_expiry_is_met_when_it_comes_and_not_at_the_next_poll() {
    check(
        "
        start
        found a@10 r=1
        t=1s saw a@11 r=2
        t=12s tick
        t=12s found a@11 r=2
        t=15.9s tick
        t=15.9s found a@11 r=2
        tick
        ",
        expect![[r#"
            0.0   start -> GET; wake 5.0
            0.0   found a@10 r=1 -> leader 'a'; wake 3.4
            1.0   saw a@11 r=2 -> wake 3.4
            12.0  tick -> GET; wake 17.0
            12.0  found a@11 r=2 -> wake 14.7
            15.9  tick -> GET; wake 20.9
            15.9  found a@11 r=2 -> wake 16.0
            16.0  tick -> UPDATE me d=15 at=16009475..16009475 tr=1 rv=11; wake 21.0
        "#]],
    );
}

/// A watch that lags behind the answers shows what is no more.
#[test]
fn late_news_of_the_watch_change_nothing() {
    for late in [
        "saw -@10 tr=3",
        "saw a@9",
        "saw-absent 8",
        "saw own@11",
        "saw-absent 11",
    ] {
        let (trace, elector) = trace(Config::default(), &leading(late));
        let last = trace.lines().last().unwrap();
        assert!(last.ends_with("-> wake 2.0"), "{late}: {trace}");
        assert!(elector.term().is_some(), "{late}");
    }
}

/// The get was sent before the release, and its answer comes after the news of it.
#[test]
fn an_answer_that_is_older_than_the_news_of_the_watch_is_dropped() {
    check(
        "
        start
        found a@10
        t=3s tick
        t=3.1s saw -@12
        t=3.2s found a@11 r=2
        tick
        ",
        expect![[r#"
            0.0   start -> GET; wake 5.0
            0.0   found a@10 -> leader 'a'; wake 3.4
            3.4   tick -> GET; wake 8.4
            3.1   saw -@12 -> leader ''; wake 8.4
            3.2   found a@11 r=2 -> UPDATE me d=15 at=3200000..3200000 tr=1 rv=12; wake 8.2
            8.2   tick -> GET; wake 13.2
        "#]],
    );
}

/// After a restore of etcd the versions go back; what a get reads then is believed all the same.
#[test]
fn a_get_that_was_sent_after_the_last_news_is_believed_whatever_its_version() {
    check(
        "
        start
        found a@1000
        t=4s tick
        found -@900
        ",
        expect![[r#"
            0.0   start -> GET; wake 5.0
            0.0   found a@1000 -> leader 'a'; wake 3.4
            4.0   tick -> GET; wake 9.0
            4.0   found -@900 -> leader ''; UPDATE me d=15 at=4000000..4000000 tr=1 rv=900; wake 9.0
        "#]],
    );
}

#[test]
fn pr_r2_versions_that_do_not_compare_lead_to_a_get() {
    check(
        &leading(
            "
            t=1s saw b@x7
            tick
            t=1.2s found b@x7
            ",
        ),
        expect![[r#"
            0.0   start -> GET; wake 5.0
            0.0   found -@10 tr=3 -> UPDATE me d=15 at=0..0 tr=4 rv=10; wake 5.0
            0.0   stored 11 -> leader 'me'; lead fencing=4 until=10s; wake 2.0
            1.0   saw b@x7 -> wake 1.0
            1.0   tick -> GET; wake 6.0
            1.2   found b@x7 -> leader 'b'; stop: the lease was lost to b; wake 3.3
        "#]],
    );
}

#[test]
fn a_leader_sees_a_theft_and_stops_at_once() {
    for (news, why) in [
        ("saw a@12", "the lease was lost to a"),
        ("saw -@12", "somebody else gave the lease back"),
        ("saw-absent 12", "the lease was deleted"),
        ("saw me@12 r=5", "another process renews with this identity"),
    ] {
        let (trace, elector) = trace(Config::default(), &leading(news));
        assert!(trace.contains(&format!("stop: {why}")), "{news}: {trace}");
        assert!(elector.term().is_none());
    }
}

/// Somebody labelled the Lease: the record is the same, its version is not.
#[test]
fn a_new_version_of_the_same_record_is_renewed_without_a_conflict() {
    let (trace, elector) = trace(Config::default(), &leading("saw own1@12\ntick"));
    assert!(trace.lines().last().unwrap().contains("rv=12"), "{trace}");
    assert!(elector.term().is_some());
}

/// The watch may be faster than the answer.
#[test]
fn a_write_that_the_watch_shows_has_landed() {
    check(
        "
        start
        found -@10
        t=0.5s saw own@11
        t=0.6s stored 11
        ",
        expect![[r#"
            0.0   start -> GET; wake 5.0
            0.0   found -@10 -> UPDATE me d=15 at=0..0 tr=1 rv=10; wake 5.0
            0.5   saw own@11 -> leader 'me'; lead fencing=1 until=10s; wake 5.0
            0.6   stored 11 -> wake 2.0
        "#]],
    );
}

/// A record that is not the last word about an unanswered write does not end the doubt about it.
#[test]
fn cg_e5_the_version_before_an_unanswered_write_does_not_end_the_doubt() {
    check(
        &leading(
            "
            tick
            t=2.1s unknown
            t=2.1s saw own1@11
            t=2.2s get-failed
            tick
            ",
        ),
        expect![[r#"
            0.0   start -> GET; wake 5.0
            0.0   found -@10 tr=3 -> UPDATE me d=15 at=0..0 tr=4 rv=10; wake 5.0
            0.0   stored 11 -> leader 'me'; lead fencing=4 until=10s; wake 2.0
            2.0   tick -> UPDATE me d=15 at=0..2000000 tr=4 rv=11; wake 7.0
            2.1   unknown -> GET; wake 7.1
            2.1   saw own1@11 -> wake 7.1
            2.2   get-failed -> wake 4.2
            4.2   tick -> GET; wake 9.2
        "#]],
    );
}
