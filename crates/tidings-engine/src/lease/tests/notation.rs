//! The one-line-a-step notation of these tests.
//!
//! ```text
//! start | tick | stop                                (tick: at the time it asked for)
//! found a@10 [r=7] [d=20] [tr=3] | absent | get-failed [retry=30]
//! stored 11 | conflict | refused [retry=30] | unknown
//! saw a@12 .. | saw-absent 13                        (what the watch shows)
//! old conflict                                       (an answer to a request before the last)
//! ```
//! `a@10` is a record held by `a` at version 10; `-@10` is held by nobody; `own@11` is what the machine asked to be
//! written last, `own1@11` what it asked first; `d` is its duration in seconds (15), `r` its renew time (1), `tr` its
//! transitions (0). A line may begin with a time, `t=1.5s`; otherwise no time passes.
//! The candidate is `me`; its wall clock shows the time of the test in microseconds.

use std::fmt::Write as _;

use expect_test::Expect;
use tidings_api::ResourceVersion;

use super::*;

pub(super) fn check(script: &str, expected: Expect) {
    check_with(Config::default(), script, expected);
}

pub(super) fn check_with(config: Config, script: &str, expected: Expect) {
    expected.assert_eq(&trace(config, script).0);
}

/// The trace of a script, and the machine at its end.
pub(super) fn trace(config: Config, script: &str) -> (String, LeaderElector) {
    let mut run = Run {
        elector: LeaderElector::try_new(config, "me").unwrap(),
        now: Instant::ZERO,
        wake_at: Instant::FAR_FUTURE,
        asked: Vec::new(),
        written: Vec::new(),
    };
    let mut trace = String::new();
    for line in script.lines().map(str::trim) {
        if !line.is_empty() {
            run.step(line, &mut trace);
        }
    }
    (trace, run.elector)
}

struct Run {
    elector: LeaderElector,
    now: Instant,
    wake_at: Instant,
    asked: Vec<RequestId>,
    written: Vec<Record>,
}

impl Run {
    fn step(&mut self, line: &str, trace: &mut String) {
        let mut rest = line;
        if let Some(timed) = line.strip_prefix("t=") {
            let (time, after) = timed.split_once(' ').unwrap();
            let seconds: f64 = time.trim_end_matches('s').parse().unwrap();
            self.now = Instant::ZERO + Duration::from_secs_f64(seconds);
            rest = after.trim();
        }
        let words: Vec<&str> = rest.split_whitespace().collect();
        if words[0] == "tick" {
            self.now = self.now.max(self.wake_at);
        }
        let input = self.input(&words);
        let micros = i64::try_from(self.now.as_nanos() / 1000).unwrap();
        self.elector.handle(self.now, Wall(micros), input);
        let mut printed = Vec::new();
        loop {
            let output = self.elector.poll_output();
            match &output {
                Output::Get { id } => self.asked.push(*id),
                Output::Create { id, record } | Output::Update { id, record, .. } => {
                    self.asked.push(*id);
                    self.written.push(record.clone());
                }
                Output::Idle { wake_at } => self.wake_at = *wake_at,
                Output::BecameLeader { .. }
                | Output::StoppedLeading { .. }
                | Output::LeaderChanged(_)
                | Output::Released { .. } => {}
            }
            if let Output::Idle { wake_at } = output {
                if wake_at != Instant::FAR_FUTURE {
                    printed.push(format!("wake {}", tenths(wake_at)));
                }
                break;
            }
            printed.push(output.to_string());
        }
        self.elector.check_invariants();
        let _ = writeln!(
            trace,
            "{:<5} {rest} -> {}",
            tenths(self.now),
            printed.join("; ")
        );
    }

    fn input(&self, words: &[&str]) -> Input {
        let (words, back) = match words {
            ["old", rest @ ..] => (rest, 2),
            words => (words, 1),
        };
        let id = || self.asked[self.asked.len() - back];
        let second = words.get(1).copied().unwrap_or_default();
        let retry_after = number(words, "retry").map(|seconds| Duration::from_secs(seconds.into()));
        let version = || ResourceVersion::parse(second).unwrap();
        let get = |outcome| Input::GetAnswered { id: id(), outcome };
        let write = |outcome| Input::WriteAnswered { id: id(), outcome };
        match words[0] {
            "start" => Input::Start,
            "tick" => Input::Tick,
            "stop" => Input::Stop,
            "found" => get(GetOutcome::Found(self.seen(words))),
            "absent" => get(GetOutcome::NotFound),
            "get-failed" => get(GetOutcome::Failed { retry_after }),
            "stored" => write(WriteOutcome::Stored { version: version() }),
            "conflict" => write(WriteOutcome::Conflict),
            "refused" => write(WriteOutcome::Refused { retry_after }),
            "unknown" => write(WriteOutcome::Unknown),
            "saw" => Input::Observed(self.seen(words)),
            "saw-absent" => Input::ObservedAbsent(version()),
            other => panic!("no such step: {other}"),
        }
    }

    fn seen(&self, words: &[&str]) -> Seen {
        let (holder, version) = words[1].split_once('@').unwrap();
        let version = ResourceVersion::parse(version).unwrap();
        if let Some(which) = holder.strip_prefix("own") {
            let last = self.written.len();
            let which: usize = which.parse().unwrap_or(last);
            let record = self.written[which - 1].clone();
            return Seen { record, version };
        }
        let renewed = Wall(number(words, "r").unwrap_or(1).into());
        let record = Record {
            holder: holder.trim_matches('-').to_owned(),
            duration_seconds: Some(number(words, "d").map_or(15, u32::cast_signed)),
            acquire_time: Some(Wall(1)),
            renew_time: Some(renewed),
            transitions: number(words, "tr").unwrap_or_default(),
        };
        Seen { record, version }
    }
}

fn number(words: &[&str], name: &str) -> Option<u32> {
    let mut fields = words
        .iter()
        .filter_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    fields.next().map(|text| text.parse().unwrap())
}

fn tenths(time: Instant) -> String {
    let tenths = time.as_nanos() / 100_000_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}
