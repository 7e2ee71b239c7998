//! No inputs make a reflector panic, hurry, or go back in versions.

#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use tidings_api::{
    Instant, Object, ResourceVersion, frame::EventKind, resource_version::ResourceVersionError,
    status::Status,
};
use tidings_engine::{
    delta::{Delta, Replaced},
    entry::{Entry, Value},
    reflector::{
        Call, Config, Failure, FailureKind, Input, ListMode, Output, Received, Reflector, Unfit,
    },
};

#[derive(Arbitrary, Debug)]
struct Program {
    mode: u8,
    shared_versions: bool,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
enum Step {
    Accepted,
    Applied,
    Bookmark(u8, bool),
    Broken(bool),
    Ended,
    Error(u8),
    Event(u8, u8, u8),
    Hold,
    Item(u8, u8),
    PageEnd(u8, u8),
    Pass(u16),
    Probe(Option<u8>),
    Refused(u8, Option<u8>),
    Stop,
    Unfit,
    Wake,
}

/// Requests that may go out at one instant: a list, what is tried in its place, and the watch after it,
/// each once more with another credential or in another epoch (F4).
const AT_ONCE_MAX: u32 = 10;
const CODES: [u16; 14] = [
    200, 302, 400, 401, 403, 404, 406, 410, 422, 429, 500, 503, 504, 999,
];
/// The last ones are no numbers.
const VERSIONS: [&str; 10] = ["1", "5", "9", "10", "11", "12", "99", "1000", "odd", "0"];

struct World {
    reflector: Reflector<()>,
    now: Instant,
    wake_at: Instant,
    held: bool,
    waiting: u64,
    applied: Option<ResourceVersion>,
    /// The last version in the epoch, if both can be compared.
    seen: Option<(u64, ResourceVersion)>,
    shared_versions: bool,
    is_replacing: bool,
    at_once: u32,
}

fn version(index: u8) -> Option<&'static str> {
    VERSIONS
        .get(usize::from(index) % (VERSIONS.len() + 1))
        .copied()
}

fn parsed(index: u8) -> Result<ResourceVersion, ResourceVersionError> {
    ResourceVersion::parse(version(index).unwrap_or_default())
}

fn received(key: u8, index: u8) -> Received<()> {
    if key == 255 {
        return Received::Keyless;
    }
    let name = format!("o{}", key % 8);
    let object = Object::bare("default", &name, "uid", version(index).unwrap_or_default());
    Received::Entry(Entry::new(1, object, Value::Decoded(())))
}

fn status(code: u8) -> Box<Status> {
    let code = CODES[usize::from(code) % CODES.len()];
    Box::new(Status::parse(code, b"{}"))
}

impl World {
    fn pass(&mut self, time: Duration) {
        if time > Duration::ZERO {
            self.now = self.now + time;
            self.at_once = 0;
        }
    }

    fn step(&mut self, step: &Step) {
        let input = match step {
            Step::Accepted => Input::Accepted,
            Step::Applied => {
                self.held = false;
                return self.apply();
            }
            Step::Bookmark(rv, end) => Input::Bookmark {
                resource_version: parsed(*rv),
                initial_events_end: *end,
            },
            Step::Broken(is_transport) => Input::Broken(Failure {
                kind: if *is_transport {
                    FailureKind::Transport
                } else {
                    FailureKind::Undecodable
                },
                message: "broken".to_owned(),
            }),
            Step::Ended => Input::Ended,
            Step::Error(code) => Input::ErrorEvent(status(*code)),
            Step::Event(kind, key, rv) => {
                let kind = match kind % 3 {
                    0 => EventKind::Added,
                    1 => EventKind::Modified,
                    _ => EventKind::Deleted,
                };
                Input::Event(kind, received(*key, *rv))
            }
            Step::Hold => {
                self.held = true;
                return;
            }
            Step::Item(key, rv) => Input::Item(received(*key, *rv)),
            Step::PageEnd(rv, token) => Input::PageEnd {
                resource_version: parsed(*rv),
                continue_token: match token % 4 {
                    0 => "again".to_owned(),
                    1 => format!("t{token}"),
                    _ => String::new(),
                },
                remaining: None,
            },
            Step::Pass(millis) => {
                self.pass(Duration::from_millis(u64::from(*millis) * 7));
                Input::Tick
            }
            Step::Probe(rv) => match rv.map(parsed) {
                Some(Ok(version)) => Input::ProbeAnswered(version),
                _ => Input::ProbeFailed,
            },
            Step::Refused(code, retry) => Input::Refused {
                code: CODES[usize::from(*code) % CODES.len()],
                status: status(*code),
                retry_after: retry.map(|seconds| Duration::from_secs(seconds.into())),
            },
            Step::Stop => Input::Stop,
            Step::Unfit => Input::Unfit(Unfit::UnknownType),
            Step::Wake => {
                if self.wake_at == Instant::FAR_FUTURE {
                    return;
                }
                let wait = self.wake_at.saturating_since(self.now);
                self.pass(wait);
                Input::Tick
            }
        };
        self.feed(input);
    }

    fn feed(&mut self, input: Input<()>) {
        self.reflector.handle(self.now, input);
        self.drain();
        if !self.held {
            self.apply();
        }
    }

    fn drain(&mut self) {
        loop {
            match self.reflector.poll_output() {
                Output::Enqueue(delta) => self.enqueue(delta),
                Output::Open(call) => {
                    let is_page =
                        matches!(&call, Call::List(list) if list.continue_token.is_some());
                    self.at_once += u32::from(!is_page);
                    assert!(self.at_once <= AT_ONCE_MAX, "F4: too many requests at once");
                    if let Call::Watch(options) = call {
                        self.watches_from(options.resource_version);
                    }
                }
                Output::Close | Output::ReloadCredentials | Output::Probe => {}
                Output::Idle { wake_at } => {
                    self.wake_at = wake_at;
                    break;
                }
            }
        }
        self.reflector.check_invariants();
    }

    /// No watch skips what was not told. Where objects share versions, it begins before those of
    /// the version at hand, and tells the later ones again.
    fn watches_from(&mut self, from: Option<ResourceVersion>) {
        let (Some(from), Some((epoch, last))) = (from, &mut self.seen) else {
            return;
        };
        if *epoch == self.reflector.epoch() {
            assert!(!last.is_before(&from), "INV-S2: from {from} after {last}");
            if self.shared_versions {
                *last = from;
            }
        }
    }

    fn enqueue(&mut self, delta: Delta<()>) {
        self.waiting += 1;
        match &delta {
            Delta::Replaced(Replaced::Begin { .. }) => {
                assert!(!self.is_replacing, "F3: a list begins within a list");
                self.is_replacing = true;
            }
            Delta::Replaced(Replaced::End { .. } | Replaced::Abort) => {
                assert!(self.is_replacing, "F3: a list ends that has not begun");
                self.is_replacing = false;
            }
            _ => {}
        }
        let version = match &delta {
            Delta::Added(entry) | Delta::Updated(entry) | Delta::Deleted(entry) => Some(
                entry
                    .object
                    .resource_version()
                    .expect("a version that was checked"),
            ),
            Delta::Bookmark(version) => Some(version.clone()),
            Delta::Replaced(Replaced::End {
                resource_version, ..
            }) => Some(resource_version.clone()),
            Delta::Replaced(_) | Delta::Sync => None,
        };
        if let Some(version) = version {
            let epoch = self.reflector.epoch();
            if let Some((known, last)) = &self.seen {
                assert!(*known <= epoch, "an epoch went back");
                let went_back = *known == epoch && version.is_before(last);
                assert!(!went_back, "INV-S2: {version} after {last}");
            }
            self.seen = Some((epoch, version.clone()));
            self.applied = Some(version);
        }
    }

    /// The store has taken everything.
    fn apply(&mut self) {
        while self.waiting > 0 {
            let deltas = std::mem::take(&mut self.waiting);
            let resource_version = self.applied.take();
            self.reflector.handle(
                self.now,
                Input::Applied {
                    deltas,
                    resource_version,
                },
            );
            self.drain();
        }
    }
}

fuzz_target!(|program: Program| {
    let config = Config {
        list_mode: [
            ListMode::Auto,
            ListMode::Paged,
            ListMode::WatchList,
            ListMode::Whole,
        ][usize::from(program.mode) % 4],
        list_pages_max: 20,
        shared_versions: program.shared_versions,
        seed: 1,
        ..Config::default()
    };
    let mut world = World {
        reflector: Reflector::new(config),
        now: Instant::ZERO,
        wake_at: Instant::FAR_FUTURE,
        held: false,
        waiting: 0,
        applied: None,
        seen: None,
        shared_versions: program.shared_versions,
        is_replacing: false,
        at_once: 0,
    };
    world.feed(Input::Start);
    for step in program.steps.iter().take(400) {
        world.step(step);
    }
});
