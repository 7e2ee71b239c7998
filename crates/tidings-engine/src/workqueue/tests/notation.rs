//! One line a step: what happens to a queue, and what it answers.
//!
//! ```text
//!   t=0    add a high   -> queued
//!   t=1s   get          -> a (added, high)
//! ```

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use tidings_api::Instant;

use crate::workqueue::{
    Next, Priority, Ticket, WorkQueue, WorkQueueConfig, rate_limit::Exponential,
};

/// Runs a trace over a queue whose limiter doubles from 1 s to 8 s, and whose tenants are what stands
/// before a slash.
pub(super) fn check(trace: &str) {
    check_with(trace, 2);
}

/// The same with a patience.
pub(super) fn check_with(trace: &str, patience: u32) {
    let mut run = Run {
        queue: WorkQueue::new(WorkQueueConfig {
            limiter: Box::new(Exponential {
                base: Duration::from_secs(1),
                max: Duration::from_secs(8),
            }),
            tenant: Some(Box::new(|key: &String| {
                key.split_once('/').map_or("", |(tenant, _)| tenant)
            })),
            patience,
            seed: 1,
        }),
        tickets: BTreeMap::new(),
    };
    let (mut wanted, mut got) = (String::new(), String::new());
    for line in trace.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (step, answer) = line.split_once("->").expect("a step has an answer");
        let mut words = step.split_whitespace();
        let time = words.next().and_then(|word| word.strip_prefix("t="));
        let now = Instant::ZERO + seconds(time.expect("a step begins with its time"));
        let words: Vec<_> = words.collect();
        let is = run.step(now, &words);
        run.queue.check_invariants();
        writeln!(wanted, "{step}-> {}", answer.trim()).unwrap();
        writeln!(got, "{step}-> {is}").unwrap();
    }
    assert_eq!(
        got, wanted,
        "\nthe queue did:\n{got}\nthe trace says:\n{wanted}"
    );
}

struct Run {
    queue: WorkQueue<String>,
    tickets: BTreeMap<String, Ticket>,
}

impl Run {
    fn step(&mut self, now: Instant, words: &[&str]) -> String {
        let queue = &mut self.queue;
        let key = words
            .get(1)
            .map(|key| (*key).to_owned())
            .unwrap_or_default();
        let level = |at: usize| match words.get(at) {
            Some(&"high") => Priority::High,
            Some(&"low") => Priority::Low,
            _ => Priority::Normal,
        };
        match words[0] {
            "add" => format!("{:?}", queue.add_with(now, &key, level(2))).to_lowercase(),
            "after" => {
                let delay = seconds(words[2]);
                let added = queue.add_after_with(now, &key, delay, level(3));
                format!("{added:?}").to_lowercase()
            }
            "retry" => match queue.add_rate_limited(now, &key) {
                Some(delay) => format!("in {delay:?}"),
                None => "ignored".to_owned(),
            },
            "get" => self.get(now),
            "done" => {
                let ticket = self.tickets.remove(&key).expect("it is worked on");
                if queue.done(now, ticket) {
                    "queued"
                } else {
                    "done"
                }
                .to_owned()
            }
            "forget" => {
                queue.forget(&key);
                format!("requeues {}", queue.num_requeues(&key))
            }
            "cancel" => queue.cancel(&key).to_string(),
            "cancel-delayed" => queue.cancel_delayed(&key).to_string(),
            "requeues" => queue.num_requeues(&key).to_string(),
            "len" => {
                let stats = queue.stats(now);
                assert_eq!(stats.depth.iter().sum::<usize>(), queue.len());
                format!(
                    "{} queued, {} worked on, {} delayed",
                    queue.len(),
                    stats.processing,
                    stats.delayed
                )
            }
            "status" => match queue.status(now, &key) {
                Some(status) => status.to_string(),
                None => "unknown".to_owned(),
            },
            "shut-down" | "drain" => {
                if words[0] == "drain" {
                    queue.shut_down_with_drain();
                } else {
                    queue.shut_down();
                }
                let drained = if queue.is_drained() { "" } else { "not " };
                format!("{drained}drained")
            }
            "drained" => queue.is_drained().to_string(),
            other => panic!("no such step: {other}"),
        }
    }
}

impl Run {
    fn get(&mut self, now: Instant) -> String {
        match self.queue.get(now) {
            Next::Empty { wake_at: None } => "empty".to_owned(),
            Next::Empty {
                wake_at: Some(wake_at),
            } => format!("empty until {wake_at}"),
            Next::Key(taken) => {
                let text = format!("{} ({}, {})", taken.key, taken.reason, taken.priority);
                let before = self.tickets.insert(taken.key.clone(), taken.ticket);
                assert!(before.is_none(), "cg-W1: {} is worked on twice", taken.key);
                text
            }
            Next::ShutDown => "shut down".to_owned(),
        }
    }
}

fn seconds(text: &str) -> Duration {
    let number = text
        .trim_end_matches('s')
        .parse()
        .expect("a number of seconds");
    Duration::from_secs_f64(number)
}
