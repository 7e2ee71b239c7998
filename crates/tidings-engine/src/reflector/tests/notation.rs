//! The one-line-a-step notation of these tests.
//!
//! ```text
//! start | tick | ok | closed | broken | garbage | stop          (tick: at the time it asked for)
//! page rv=10 a@7 b@9 ?? [continue=T]                            (??: an item without a key)
//! item a@7                                                      (of a page that goes on)
//! ADDED a@7 | MODIFIED a@8 | DELETED a@9 | ADDED ?? | unfit
//! bookmark 10 | bookmark '' | initial-end 10
//! refused 429 [reason=Timeout] [cause=..] [retry=3] | error 410 [reason=Expired]
//! probe 12 | probe-failed | hold | apply
//! ```
//! A line may begin with a time, `t=1.5s`; otherwise no time passes. Everything enqueued is applied
//! at once, unless `hold` was said, and then at `apply`.

use std::fmt::Write as _;

use expect_test::Expect;
use tidings_api::{Object, resource_version::ResourceVersionError, status::Status};

use super::*;
use crate::{
    delta::Replaced,
    entry::{Entry, Value},
};

pub(super) fn check(script: &str, expected: Expect) {
    check_with(Config::default(), script, expected);
}

pub(super) fn check_with(config: Config, script: &str, expected: Expect) {
    expected.assert_eq(&trace(config, script).0);
}

/// The trace of a script, and the machine at its end.
pub(super) fn trace(config: Config, script: &str) -> (String, Reflector<()>) {
    let mut run = Run {
        reflector: Reflector::new(config),
        now: Instant::ZERO,
        wake_at: Instant::FAR_FUTURE,
        held: false,
        unapplied: 0,
        version: None,
    };
    let mut trace = String::new();
    for line in script
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let outputs = run.step(line);
        let time = run.now.as_nanos() / 100_000_000;
        let _ = write!(
            trace,
            "{:<6} {}",
            format!("{}.{}", time / 10, time % 10),
            strip_time(line)
        );
        let _ = writeln!(trace, " -> {}", outputs.join("; "));
    }
    (trace, run.reflector)
}

/// The requests of a script, in order.
pub(super) fn requests(config: Config, script: &str) -> Vec<String> {
    let (trace, _) = trace(config, script);
    let outputs = trace.lines().flat_map(|line| {
        let (_, outputs) = line.split_once(" -> ").unwrap_or_default();
        outputs.split("; ").map(str::to_owned).collect::<Vec<_>>()
    });
    let is_request = |output: &String| output.starts_with("LIST") || output.starts_with("WATCH");
    outputs.filter(is_request).collect()
}

struct Run {
    reflector: Reflector<()>,
    now: Instant,
    wake_at: Instant,
    held: bool,
    unapplied: u64,
    version: Option<ResourceVersion>,
}

impl Run {
    fn step(&mut self, line: &str) -> Vec<String> {
        let mut words = line.split_whitespace().peekable();
        if let Some(time) = words.peek().and_then(|word| word.strip_prefix("t=")) {
            let seconds: f64 = time.trim_end_matches('s').parse().unwrap();
            self.now = Instant::ZERO + Duration::from_secs_f64(seconds);
            words.next();
        }
        let words: Vec<&str> = words.collect();
        let mut printed = Vec::new();
        match words[0] {
            "hold" => self.held = true,
            "apply" => {
                self.held = false;
                self.drain(&mut printed);
            }
            "tick" => {
                self.now = self.now.max(self.wake_at);
                self.feed(Input::Tick, &mut printed);
            }
            "page" => self.page(&words[1..], &mut printed),
            _ => self.feed(input(&words), &mut printed),
        }
        let time = self.wake_at.as_nanos() / 100_000_000;
        if self.wake_at != Instant::FAR_FUTURE {
            printed.push(format!("wake {}.{}", time / 10, time % 10));
        }
        printed
    }

    fn page(&mut self, words: &[&str], printed: &mut Vec<String>) {
        let mut version = Err(ResourceVersionError::Empty);
        let mut token = String::new();
        for word in words {
            match word.split_once('=') {
                Some(("rv", text)) => version = ResourceVersion::parse(text),
                Some(("continue", text)) => text.clone_into(&mut token),
                _ => self.feed(Input::Item(received(word)), printed),
            }
        }
        let end = Input::PageEnd {
            resource_version: version,
            continue_token: token,
            remaining: None,
        };
        self.feed(end, printed);
    }

    fn feed(&mut self, input: Input<()>, printed: &mut Vec<String>) {
        self.reflector.handle(self.now, input);
        self.reflector.check_invariants();
        self.drain(printed);
    }

    fn drain(&mut self, printed: &mut Vec<String>) {
        loop {
            match self.reflector.poll_output() {
                Output::Idle { wake_at } => self.wake_at = wake_at,
                Output::Enqueue(delta) => {
                    self.unapplied += 1;
                    match &delta {
                        Delta::Added(e) | Delta::Updated(e) | Delta::Deleted(e) => {
                            self.version = e.object.resource_version().ok();
                        }
                        Delta::Replaced(Replaced::End {
                            resource_version: version,
                            ..
                        })
                        | Delta::Bookmark(version) => self.version = Some(version.clone()),
                        Delta::Replaced(_) | Delta::Sync => {}
                    }
                    printed.push(delta.to_string());
                    continue;
                }
                output => {
                    printed.push(output.to_string());
                    continue;
                }
            }
            if self.held || self.unapplied == 0 {
                return;
            }
            let deltas = std::mem::take(&mut self.unapplied);
            let applied = Input::Applied {
                deltas,
                resource_version: self.version.take(),
            };
            self.reflector.handle(self.now, applied);
            self.reflector.check_invariants();
        }
    }
}

fn input(words: &[&str]) -> Input<()> {
    let second = words.get(1).copied().unwrap_or_default();
    let field = |name: &str| {
        words
            .iter()
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
            .unwrap_or_default()
    };
    let version = || ResourceVersion::parse(second.trim_matches('\''));
    match words[0] {
        "start" => Input::Start,
        "stop" => Input::Stop,
        "ok" => Input::Accepted,
        "closed" => Input::Ended,
        "broken" => failure(FailureKind::Transport),
        "garbage" => failure(FailureKind::Undecodable),
        "unfit" => Input::Unfit(Unfit::UnknownType),
        "item" => Input::Item(received(second)),
        "ADDED" => Input::Event(EventKind::Added, received(second)),
        "MODIFIED" => Input::Event(EventKind::Modified, received(second)),
        "DELETED" => Input::Event(EventKind::Deleted, received(second)),
        "bookmark" => Input::Bookmark {
            resource_version: version(),
            initial_events_end: false,
        },
        "initial-end" => Input::Bookmark {
            resource_version: version(),
            initial_events_end: true,
        },
        "refused" | "error" => {
            let (reason, cause) = (field("reason"), field("cause"));
            let body = format!(
                r#"{{"code":{second},"reason":"{reason}","details":{{"causes":[{{"reason":"{cause}"}}]}}}}"#
            );
            let code = second.parse().unwrap();
            let status = Box::new(Status::parse(code, body.as_bytes()));
            let retry_after = field("retry").parse().ok().map(Duration::from_secs);
            if words[0] == "error" {
                Input::ErrorEvent(status)
            } else {
                Input::Refused {
                    code,
                    status,
                    retry_after,
                }
            }
        }
        "probe" => Input::ProbeAnswered(version().unwrap()),
        "probe-failed" => Input::ProbeFailed,
        other => panic!("no such step: {other}"),
    }
}

fn failure(kind: FailureKind) -> Input<()> {
    Input::Broken(Failure {
        kind,
        message: "x".to_owned(),
    })
}

fn received(word: &str) -> Received<()> {
    let Some((key, version)) = word.split_once('@') else {
        return Received::Keyless;
    };
    let object = Object::bare("", key, &format!("uid-{key}"), version);
    Received::Entry(Entry::new(0, object, Value::Decoded(())))
}

fn strip_time(line: &str) -> &str {
    if line.starts_with("t=") {
        line.split_once(' ').map_or("", |(_, rest)| rest)
    } else {
        line
    }
}
