//! The text, sample by sample, from values.

use std::time::Duration;

use tidings_api::Instant as Time;
use tidings_engine::workqueue::{Next, Priority, WorkQueue, WorkQueueConfig};

use super::*;

fn seconds(at: u64) -> Time {
    Time::from_nanos(at * 1_000_000_000)
}

/// A queue in which one key waited for two seconds, was worked on for three, and another one waits.
fn queue() -> WorkQueueStats {
    let mut queue = WorkQueue::<String>::new(WorkQueueConfig::default());
    queue.add(seconds(0), &"a".to_owned());
    let Next::Key(taken) = queue.get(seconds(2)) else {
        panic!("a key waits");
    };
    queue.done(seconds(5), taken.ticket);
    queue.add_with(seconds(5), &"b".to_owned(), Priority::Low);
    queue.stats(seconds(5))
}

fn lines(text: &str, of: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| line.contains(of));
    lines.map(str::to_owned).collect()
}

#[test]
fn a_family_stands_together_below_one_head() {
    let mut exposition = Exposition::new();
    exposition.work_queue("a", &queue());
    exposition.work_queue("b", &WorkQueueStats::default());
    let text = exposition.to_string();
    let expected = [
        "# HELP workqueue_depth Keys that wait for a worker.",
        "# TYPE workqueue_depth gauge",
        "workqueue_depth{name=\"a\",priority=\"high\"} 0",
        "workqueue_depth{name=\"a\",priority=\"normal\"} 0",
        "workqueue_depth{name=\"a\",priority=\"low\"} 1",
        "workqueue_depth{name=\"b\",priority=\"high\"} 0",
        "workqueue_depth{name=\"b\",priority=\"normal\"} 0",
        "workqueue_depth{name=\"b\",priority=\"low\"} 0",
    ];
    let begin: Vec<&str> = text.lines().take(expected.len()).collect();
    assert_eq!(begin, expected);
    for family in text.lines().filter(|line| line.starts_with("# TYPE")) {
        assert_eq!(text.matches(family).count(), 1, "{family}");
    }
    assert!(text.contains("workqueue_adds_total{name=\"a\"} 2\n"));
}

#[test]
fn a_histogram_is_cumulative_in_seconds() {
    let mut exposition = Exposition::new();
    exposition.work_queue("a", &queue());
    let found = lines(&exposition.to_string(), "workqueue_work_duration_seconds");
    let expected = [
        "# HELP workqueue_work_duration_seconds How long workers worked on keys.",
        "# TYPE workqueue_work_duration_seconds histogram",
        "workqueue_work_duration_seconds_bucket{name=\"a\",le=\"0.00000001\"} 0",
        "workqueue_work_duration_seconds_bucket{name=\"a\",le=\"0.0000001\"} 0",
        "workqueue_work_duration_seconds_bucket{name=\"a\",le=\"0.000001\"} 0",
        "workqueue_work_duration_seconds_bucket{name=\"a\",le=\"0.00001\"} 0",
        "workqueue_work_duration_seconds_bucket{name=\"a\",le=\"0.0001\"} 0",
        "workqueue_work_duration_seconds_bucket{name=\"a\",le=\"0.001\"} 0",
        "workqueue_work_duration_seconds_bucket{name=\"a\",le=\"0.01\"} 0",
        "workqueue_work_duration_seconds_bucket{name=\"a\",le=\"0.1\"} 0",
        "workqueue_work_duration_seconds_bucket{name=\"a\",le=\"1\"} 0",
        "workqueue_work_duration_seconds_bucket{name=\"a\",le=\"10\"} 1",
        "workqueue_work_duration_seconds_bucket{name=\"a\",le=\"100\"} 1",
        "workqueue_work_duration_seconds_bucket{name=\"a\",le=\"1000\"} 1",
        "workqueue_work_duration_seconds_bucket{name=\"a\",le=\"+Inf\"} 1",
        "workqueue_work_duration_seconds_sum{name=\"a\"} 3",
        "workqueue_work_duration_seconds_count{name=\"a\"} 1",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_label_ends_where_it_ends_and_no_series_stands_twice() {
    let mut exposition = Exposition::new();
    let name = "a\"} 7\nb\\";
    exposition.controller(name, &ControllerStats::default());
    exposition.controller(name, &ControllerStats::default());
    let found = lines(&exposition.to_string(), "tidings_controller_parked{");
    let expected = ["tidings_controller_parked{controller=\"a\\\"} 7\\nb\\\\\"} 0"];
    assert_eq!(found, expected);
}

#[test]
fn what_was_given_up_is_an_error_as_well() {
    let mut exposition = Exposition::new();
    let stats = ControllerStats {
        done: 5,
        again: 4,
        retried: 3,
        gave_up: 2,
        ..ControllerStats::default()
    };
    exposition.controller("c", &stats);
    let found = lines(
        &exposition.to_string(),
        "controller_runtime_reconcile_total{",
    );
    let expected = [
        "controller_runtime_reconcile_total{controller=\"c\",result=\"success\"} 5",
        "controller_runtime_reconcile_total{controller=\"c\",result=\"requeue_after\"} 4",
        "controller_runtime_reconcile_total{controller=\"c\",result=\"error\"} 5",
    ];
    assert_eq!(found, expected);
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_term_has_ended_does_not_lead() {
    let now = Instant::now();
    let leadership = Leadership {
        is_leader: true,
        fencing: Some(7),
        valid_until: Some(now + Duration::from_secs(10)),
        ..Leadership::default()
    };
    let text = |now| {
        let mut exposition = Exposition::new();
        exposition.leader("my-service", &leadership, now);
        let text = exposition.to_string();
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples.map(str::to_owned).collect::<Vec<_>>()
    };
    let leads = [
        "leader_election_master_status{name=\"my-service\"} 1",
        "tidings_leader_fencing_token{name=\"my-service\"} 7",
    ];
    assert_eq!(text(now), leads);
    let ended = ["leader_election_master_status{name=\"my-service\"} 0"];
    assert_eq!(text(now + Duration::from_secs(10)), ended);
}
