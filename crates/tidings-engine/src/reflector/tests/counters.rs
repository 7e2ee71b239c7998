//! The counters and the sentences: nothing is decided by them, and an operator decides by nothing else.

use super::*;

fn counted(script: &str) -> Stats {
    trace(Config::default(), script).1.stats().clone()
}

#[test]
fn each_counter_counts_what_its_name_says() {
    let stats = counted(
        "
        start
        ok
        ADDED a@7
        ADDED ??
        initial-end 10
        MODIFIED a@12
        MODIFIED b@13
        ADDED ??
        unfit
        bookmark 20
        bookmark 15
        bookmark ''
        t=150s tick
        probe 20
        t=200s closed
        tick
        ok
        t=300s error 410
        tick
        refused 400
        ok
        page rv=30 a@12 continue=T
        ok
        page rv=30 b@13
        ok
        t=400s error 410
        tick
        ok
        page rv=8 a@3
        ok
        page rv=8 a@3
        ",
    );
    let reasons = [
        (WakeReason::Ended, 1),
        (WakeReason::EpochChanged, 1),
        (WakeReason::Expired, 2),
        (WakeReason::WatchListFailed, 1),
    ];
    let expected = Stats {
        lists: 3,
        pages: 1,
        watch_lists: 2,
        watches: 3,
        probes: 1,
        items: 6,
        events: 3,
        bookmarks: 4,
        bookmarks_ignored: 2,
        keyless: 2,
        unfit: 2,
        epochs: 1,
        reasons: reasons.into(),
    };
    assert_eq!(stats, expected);
    let stats = counted("start\nok\ninitial-end 10\nDELETED ??");
    assert_eq!((stats.events, stats.keyless, stats.unfit), (1, 1, 1));
    assert_eq!(stats.reasons[&WakeReason::UnfitEvents], 1);
}

/// A stream that brought something and ended soon is met with a delay, but it is no trouble: only those
/// that bring nothing are counted as short.
#[test]
fn cg_r19_a_short_stream_that_brought_something_is_no_trouble() {
    let ended = |last: &str| {
        let script = format!(
            "start\nok\ninitial-end 10\nt=9s closed\nt=20s tick\nok\n{last}\nt=20.5s closed"
        );
        let (_, reflector) = trace(Config::default(), &script);
        let trouble = reflector.condition().trouble.map(|trouble| trouble.reason);
        let reasons = &reflector.stats().reasons;
        (trouble, reasons.get(&WakeReason::Ended).copied())
    };
    assert_eq!(ended("MODIFIED a@11"), (None, Some(2)));
    assert_eq!(ended("bookmark 11"), (None, Some(2)));
    assert_eq!(ended("tick"), (Some(WakeReason::ShortStreams), Some(1)));
}

/// `short_stream` is the first length that is not short.
#[test]
fn cg_r19_a_stream_of_just_the_length_is_not_short() {
    let script = "start\nok\ninitial-end 10\nt=5s closed\nt=6s tick\nok\nt=6.999s closed";
    let trouble = trace(Config::default(), script).1.condition().trouble;
    assert_eq!(trouble.unwrap().reason, WakeReason::ShortStreams);
    let script = script.replace("6.999", "7");
    let trouble = trace(Config::default(), &script).1.condition().trouble;
    assert_eq!(trouble, None);
}

#[test]
fn a_stream_of_unfit_frames_is_told_with_what_they_are() {
    let told = |unfit| {
        let mut reflector = trace(Config::default(), "start\nok\ninitial-end 10").1;
        for _ in 0..3 {
            reflector.handle(Instant::ZERO, Input::Unfit(unfit));
        }
        reflector.condition().trouble.unwrap().message
    };
    let prefix = "the stream brings events that cannot be acted upon: ";
    for (unfit, what) in [
        (Unfit::UnknownType, "an event has an unknown type"),
        (Unfit::WrongKind, "an object is of another kind"),
    ] {
        assert_eq!(told(unfit), format!("{prefix}{what}"));
    }
}
