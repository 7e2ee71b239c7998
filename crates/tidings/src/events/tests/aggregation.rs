//! What becomes of reports, with the time by hand.

use super::*;

/// The machine, and the time that it is told.
struct Bench {
    series: Series,
    now: Instant,
    wall: u64,
}

fn bench(limits: EventLimits) -> Bench {
    Bench {
        series: Series::new(limits, 7),
        now: Instant::ZERO,
        wall: 1_700_000_000_000_000_000,
    }
}

impl Bench {
    fn report(&mut self, reason: &str) {
        self.take(report(reason));
    }

    fn take(&mut self, report: EventReport) {
        self.wall += 1;
        let source = Arc::new(EventSource::new("example.com/web", "web-0"));
        let document = Document::new(report, source, WallTime(self.wall));
        self.series.handle_report(self.now, document);
        self.series.check_invariants();
    }

    /// What is sent next; it is answered so.
    fn next(&mut self, answer: Answered) -> String {
        let output = self.series.poll_output(self.now);
        if let Output::Create(id, _) | Output::Patch(id, _) = output {
            self.series.handle_answer(self.now, id, answer);
        }
        self.series.check_invariants();
        line(&output)
    }

    fn sent(&mut self) -> String {
        self.next(Answered::Done)
    }

    /// Sleeps as it says, until there is something to send.
    fn wake(&mut self) {
        while self.now < self.series.paused_until() {
            let Output::Idle {
                wake_at: Some(wake_at),
            } = self.series.poll_output(self.now)
            else {
                panic!("it sends before its time");
            };
            assert!(wake_at > self.now, "it wakes for nothing");
            self.now = wake_at;
            self.series.handle_time(self.now);
        }
    }

    /// Lets the time pass, a minute at a time.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now = end.min(self.now + MINUTE);
            self.series.handle_time(self.now);
        }
        self.series.check_invariants();
    }
}

#[test]
fn equal_reports_are_one_event_and_its_first_repetition_makes_a_series() {
    let mut bench = bench(EventLimits::default());
    bench.report("Scaled");
    assert_eq!(bench.sent(), "create Scaled x1");
    bench.report("Scaled");
    assert_eq!(bench.sent(), "patch Scaled x2");
    for _ in 0..5 {
        bench.report("Scaled");
        assert_eq!(bench.sent(), "idle", "the others are counted");
    }
    let stats = bench.series.stats();
    assert_eq!((stats.reported, stats.repeated, stats.written), (7, 6, 2));

    // Another note or version of the object makes no other event; all else does.
    let mut newer = report("Scaled");
    newer.note = "another".to_owned();
    newer.regarding.resource_version = "8".to_owned();
    bench.take(newer);
    assert_eq!(bench.sent(), "idle");
    let mut elsewhere = report("Scaled");
    elsewhere.regarding.uid = "u2".to_owned();
    let mut action = report("Scaled");
    action.action = "Trying".to_owned();
    for other in [
        EventReport::warning(web(), "Scaled", "Acting", "it acts"),
        report("Scaled").related_to(web()),
        elsewhere,
        action,
    ] {
        bench.take(other);
        assert_eq!(bench.sent(), "create Scaled x1");
    }
}

#[test]
fn what_repeats_before_it_is_sent_is_created_with_its_count() {
    let mut bench = bench(EventLimits::default());
    bench.report("Scaled");
    bench.report("Scaled");
    bench.report("Scaled");
    assert_eq!(bench.sent(), "create Scaled x3");
    assert_eq!(bench.sent(), "idle");
}

#[test]
fn what_repeats_while_it_is_under_way_is_patched_after_it() {
    let mut bench = bench(EventLimits::default());
    bench.report("Scaled");
    let output = bench.series.poll_output(bench.now);
    let Output::Create(id, _) = output else {
        panic!("{output:?}");
    };
    bench.report("Scaled");
    bench.report("Scaled");
    bench.report("Other");
    assert_eq!(bench.next(Answered::Done), "idle", "one at a time");
    bench.series.handle_answer(bench.now, id, Answered::Done);
    assert_eq!(bench.sent(), "create Other x1");
    assert_eq!(bench.sent(), "patch Scaled x3");
    assert_eq!(bench.sent(), "idle");
}

#[test]
fn a_series_is_finished_after_six_minutes_of_silence_and_begins_anew() {
    let mut bench = bench(EventLimits::default());
    for _ in 0..5 {
        bench.report("Scaled");
        bench.sent();
    }
    bench.pass(5 * MINUTE);
    assert_eq!(bench.sent(), "idle");
    bench.pass(2 * MINUTE);
    assert_eq!(bench.sent(), "patch Scaled x5");
    bench.pass(MINUTE);
    assert_eq!(
        bench.series.poll_output(bench.now),
        Output::Idle { wake_at: None }
    );
    bench.report("Scaled");
    assert_eq!(bench.sent(), "create Scaled x1");
}

#[test]
fn a_series_that_goes_on_is_refreshed_every_half_hour() {
    let mut bench = bench(EventLimits::default());
    let mut sent = Vec::new();
    for minute in 0..65 {
        bench.report("Scaled");
        let line = bench.sent();
        if line != "idle" {
            sent.push(format!("{minute} {line}"));
        }
        bench.pass(MINUTE);
    }
    assert_eq!(
        sent,
        [
            "0 create Scaled x1",
            "1 patch Scaled x2",
            "31 patch Scaled x32",
            "61 patch Scaled x62"
        ]
    );
}

#[test]
fn an_object_has_a_budget_that_grows_back() {
    let mut bench = bench(EventLimits::default());
    for number in 0..30 {
        bench.report(&format!("Reason{number}"));
    }
    assert_eq!(bench.series.stats().limited, 5);
    let mut other = report("Reason0");
    other.regarding.uid = "u2".to_owned();
    bench.take(other);
    assert_eq!(
        bench.series.stats().limited,
        5,
        "another object has its own"
    );
    while bench.sent() != "idle" {}
    assert_eq!(bench.series.budgets_len(), 2);
    bench.pass(6 * MINUTE);
    assert_eq!(
        bench.series.budgets_len(),
        1,
        "a whole budget is none to remember"
    );
    bench.report("Later");
    bench.report("Again");
    assert_eq!(
        bench.series.stats().limited,
        6,
        "one request in five minutes"
    );
    // A repetition without a budget for its patch is counted all the same.
    assert_eq!(bench.sent(), "create Later x1");
    bench.report("Later");
    assert_eq!(bench.sent(), "idle");
    bench.pass(7 * MINUTE);
    assert_eq!(bench.sent(), "patch Later x2");
}

#[test]
fn beyond_the_queue_the_oldest_goes_and_is_counted() {
    let limits = EventLimits {
        queue_max: 3,
        burst: 100,
        ..EventLimits::default()
    };
    let mut bench = bench(limits);
    for number in 0..5 {
        bench.report(&format!("R{number}"));
    }
    assert_eq!(bench.series.stats().dropped, 2);
    assert_eq!(bench.sent(), "create R2 x1");
    // It is forgotten, too: the next one is a new event.
    bench.report("R0");
    assert_eq!(bench.sent(), "create R3 x1");
    assert_eq!(bench.sent(), "create R4 x1");
    assert_eq!(bench.sent(), "create R0 x1");
    assert_eq!(bench.sent(), "idle");
}

#[test]
fn beyond_the_memory_the_oldest_goes() {
    let limits = EventLimits {
        queue_max: 1,
        series_max: 3,
        burst: 100,
        ..EventLimits::default()
    };
    let mut bench = bench(limits);
    for number in 0..4 {
        let mut report = report(&format!("R{number}"));
        report.regarding.uid = format!("u{number}");
        bench.take(report);
        assert_eq!(bench.sent(), format!("create R{number} x1"));
    }
    let mut first = report("R0");
    first.regarding.uid = "u0".to_owned();
    bench.take(first);
    assert_eq!(bench.sent(), "create R0 x1", "a new event");
}

/// What waits to be sent is not what goes.
#[test]
fn beyond_the_memory_the_oldest_that_is_idle_goes() {
    let limits = EventLimits {
        queue_max: 2,
        series_max: 4,
        ..EventLimits::default()
    };
    let mut bench = bench(limits);
    for number in 0..4 {
        bench.report(&format!("R{number}"));
        bench.sent();
    }
    bench.report("R0");
    bench.report("R4");
    assert_eq!(bench.sent(), "patch R0 x2");
    assert_eq!(bench.sent(), "create R4 x1");
    bench.report("R1");
    assert_eq!(bench.sent(), "create R1 x1", "it went");
}

#[test]
fn trouble_holds_everything_and_a_request_is_given_up_after_twelve_attempts() {
    let mut bench = bench(EventLimits::default());
    bench.report("First");
    bench.report("Second");
    let later = Answered::Later(Duration::ZERO);
    for attempt in 1..=12 {
        assert_eq!(bench.next(later), "create First x1", "{attempt}");
        assert_eq!(bench.next(later), "idle", "nothing goes out meanwhile");
        let began = bench.now;
        bench.wake();
        let wait = bench.now.saturating_since(began);
        assert!((10 * SECOND..=13 * SECOND).contains(&wait), "{wait:?}");
    }
    assert_eq!(bench.sent(), "create Second x1");
    assert_eq!(bench.series.stats().failed, 1);
    // The server may say how long.
    bench.report("Third");
    bench.next(Answered::Later(MINUTE));
    bench.pass(50 * SECOND);
    assert_eq!(bench.sent(), "idle");
    bench.pass(15 * SECOND);
    assert_eq!(bench.sent(), "create Third x1");
}

#[test]
fn what_is_refused_is_not_tried_for_each_repetition() {
    let mut bench = bench(EventLimits::default());
    bench.report("Scaled");
    assert_eq!(bench.next(Answered::Refused), "create Scaled x1");
    for _ in 0..20 {
        bench.report("Scaled");
        assert_eq!(bench.sent(), "idle");
        bench.pass(MINUTE);
    }
    // Once it falls silent it is tried once more, with all that it has counted.
    bench.pass(7 * MINUTE);
    assert_eq!(bench.next(Answered::Refused), "create Scaled x21");
    bench.pass(2 * MINUTE);
    assert_eq!(
        bench.series.poll_output(bench.now),
        Output::Idle { wake_at: None }
    );
    assert_eq!(bench.series.stats().failed, 2);
}

#[test]
fn the_end_writes_the_counts() {
    let mut bench = bench(EventLimits::default());
    for _ in 0..4 {
        bench.report("Scaled");
        bench.sent();
    }
    assert!(bench.series.is_drained());
    bench.series.handle_end();
    assert!(!bench.series.is_drained());
    assert_eq!(bench.sent(), "patch Scaled x4");
    bench.series.handle_end();
    assert!(bench.series.is_drained());
}

#[test]
fn a_document_keeps_within_what_the_server_takes() {
    let source = Arc::new(EventSource::new("example.com/web", "i".repeat(300)));
    let long = "\u{e4}".repeat(2000);
    let report = EventReport::warning(web(), long.clone(), "", long);
    let time = WallTime(1_700_000_000_123_456_789);
    let mut document = Document::new(report.clone(), Arc::clone(&source), time);
    let event = document.to_json();
    for (field, bytes) in [
        ("reason", 128),
        ("action", 128),
        ("note", 1024),
        ("reportingInstance", 128),
    ] {
        assert_eq!(event[field].as_str().unwrap().len(), bytes, "{field}");
    }
    assert_eq!(
        event["metadata"],
        json!({ "name": "web.17979cfe3d85cd15", "namespace": "default" })
    );
    assert_eq!(event["eventTime"], "2023-11-14T22:13:20.123456Z");
    assert_eq!(
        (&event["type"], &event["series"]),
        (&json!("Warning"), &Value::Null)
    );
    assert_eq!(event["regarding"]["apiVersion"], "apps/v1");
    document.repeat(WallTime(1_700_000_001_000_000_000));
    assert_eq!(
        document.to_json()["series"],
        json!({ "count": 2, "lastObservedTime": "2023-11-14T22:13:21.000000Z" })
    );
    // What is no name for an event is left out of it, and what has no namespace is told in `default`.
    for name in ["system:node", "Web", "-a", "", &"a".repeat(250)] {
        let mut report = report.clone();
        report.regarding.name = name.to_owned();
        report.regarding.namespace = String::new();
        let event = Document::new(report, Arc::clone(&source), time).to_json();
        let expected = json!({ "name": "event.17979cfe3d85cd15", "namespace": "default" });
        assert_eq!(event["metadata"], expected, "{name}");
    }
}
