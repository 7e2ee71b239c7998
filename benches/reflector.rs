//! The reflector alone: inputs that are already decoded, through the state machine, to deltas.
//!
//! No I/O, no store, and objects without JSON, so that what is measured is the machine. The floor
//! is what no reflector can do without: reading each object's version, and one queue slot a delta.

use std::{collections::VecDeque, hint::black_box};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tidings_api::{Instant, Object, ResourceVersion, frame::EventKind, status::Status};
use tidings_engine::{
    delta::{Delta, Replaced},
    entry::{Entry, Value},
    reflector::{Call, Config, Input, ListMode, Output, Received, Reflector},
};

const EVENTS: usize = 10_000;
const FIRST_VERSION: usize = 1_000_000;
/// Deltas that are applied at once, as the pipeline does.
const BATCH: usize = 1_000;

fn entries(count: usize, first_version: usize) -> Vec<Entry<()>> {
    (0..count)
        .map(|number| {
            let (name, uid) = (format!("pod-{number:07}"), format!("uid-{number:032}"));
            let version = (first_version + number).to_string();
            let object = Object::bare("default", &name, &uid, &version);
            Entry::new(number as u64, object, Value::Decoded(()))
        })
        .collect()
}

fn version(number: usize) -> ResourceVersion {
    ResourceVersion::from_revision(number as u64)
}

fn reflector(list_mode: ListMode) -> Reflector<()> {
    let mut reflector = Reflector::new(Config {
        list_mode,
        ..Config::default()
    });
    reflector.handle(Instant::ZERO, Input::Start);
    reflector
}

/// What came out of the machine until it was idle.
#[derive(Default)]
struct Came {
    deltas: usize,
    items: usize,
    call: Option<Call>,
    wake_at: Instant,
}

fn drain(reflector: &mut Reflector<()>, came: &mut Came) {
    loop {
        match reflector.poll_output() {
            Output::Enqueue(delta) => {
                came.deltas += 1;
                came.items += usize::from(matches!(delta, Delta::Replaced(Replaced::Item(_))));
                black_box(delta);
            }
            Output::Open(call) => came.call = Some(call),
            Output::Close | Output::ReloadCredentials | Output::Probe => {}
            Output::Idle { wake_at } => {
                came.wake_at = wake_at;
                return;
            }
        }
    }
}

fn applied(reflector: &mut Reflector<()>, deltas: usize, resource_version: usize) {
    let applied = Input::Applied {
        deltas: deltas as u64,
        resource_version: Some(version(resource_version)),
    };
    reflector.handle(Instant::ZERO, applied);
}

/// Answers the list that was asked for, in pages of `page_len`.
fn list(
    now: Instant,
    reflector: &mut Reflector<()>,
    entries: Vec<Entry<()>>,
    page_len: usize,
) -> Came {
    let (mut came, mut left) = (Came::default(), entries.len());
    drain(reflector, &mut came);
    for (at, entry) in entries.into_iter().enumerate() {
        if at % page_len == 0 {
            assert!(matches!(came.call.take(), Some(Call::List(_))));
            reflector.handle(now, Input::Accepted);
        }
        reflector.handle(now, Input::Item(Received::Entry(entry)));
        drain(reflector, &mut came);
        left -= 1;
        if left == 0 || (at + 1) % page_len == 0 {
            // A token that leads to itself would be refused.
            let more = if left > 0 {
                format!("left-{left}")
            } else {
                String::new()
            };
            let end = Input::PageEnd {
                resource_version: Ok(version(FIRST_VERSION)),
                continue_token: more,
                remaining: None,
            };
            reflector.handle(now, end);
            drain(reflector, &mut came);
        }
    }
    applied(reflector, came.deltas, FIRST_VERSION);
    drain(reflector, &mut came);
    assert!(matches!(came.call, Some(Call::Watch(_))));
    came
}

/// A reflector whose watch has been accepted.
fn watching() -> Reflector<()> {
    let mut reflector = reflector(ListMode::Whole);
    list(Instant::ZERO, &mut reflector, entries(1, 1), usize::MAX);
    reflector.handle(Instant::ZERO, Input::Accepted);
    reflector
}

fn watch(c: &mut Criterion) {
    let template = entries(EVENTS, FIRST_VERSION + 1);
    let mut group = c.benchmark_group("reflector/watch");
    group.throughput(Throughput::Elements(EVENTS as u64));
    group.bench_function("10k", |b| {
        b.iter_batched(
            || (watching(), template.clone()),
            |(mut reflector, events)| {
                let mut came = Came::default();
                for (at, entry) in events.into_iter().enumerate() {
                    let input = Input::Event(EventKind::Modified, Received::Entry(entry));
                    reflector.handle(Instant::ZERO, input);
                    drain(&mut reflector, &mut came);
                    if (at + 1) % BATCH == 0 {
                        applied(&mut reflector, BATCH, FIRST_VERSION + 1 + at);
                    }
                }
                assert_eq!(came.deltas, EVENTS);
                assert_eq!(
                    reflector.resource_version(),
                    Some(&version(FIRST_VERSION + EVENTS))
                );
                reflector
            },
            BatchSize::LargeInput,
        );
    });
    group.bench_function("10k/floor-parse-and-queue", |b| {
        b.iter_batched(
            || template.clone(),
            |events| {
                let (mut queue, mut last, mut popped) = (VecDeque::new(), version(1), 0);
                for entry in events {
                    let version = entry.object.resource_version().expect("it has one");
                    assert!(!version.is_before(&last));
                    last = version;
                    queue.push_back(Delta::Updated(entry));
                    popped += usize::from(black_box(queue.pop_front()).is_some());
                }
                assert_eq!(popped, EVENTS);
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn pages(c: &mut Criterion) {
    let template = entries(EVENTS, 1);
    let mut group = c.benchmark_group("reflector/list");
    group.throughput(Throughput::Elements(EVENTS as u64));
    for (id, mode, page_len) in [
        ("10k/pages500", ListMode::Paged, 500),
        ("10k/whole", ListMode::Whole, usize::MAX),
    ] {
        group.bench_function(id, |b| {
            b.iter_batched(
                || (reflector(mode), template.clone()),
                |(mut reflector, items)| {
                    let came = list(Instant::ZERO, &mut reflector, items, page_len);
                    // Begin and End stand around the items.
                    assert_eq!((came.items, came.deltas), (EVENTS, EVENTS + 2));
                    reflector
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

/// The version expires, and the list comes again. Whether an object is unchanged is for the store
/// to say: `pipeline/relist_unchanged` has both.
fn relist(c: &mut Criterion) {
    let template = entries(EVENTS, 1);
    let mut group = c.benchmark_group("reflector/relist");
    group.throughput(Throughput::Elements(EVENTS as u64));
    group.bench_function("10k/expired", |b| {
        b.iter_batched(
            || (watching(), template.clone()),
            |(mut reflector, items)| {
                let mut came = Came::default();
                let status =
                    Status::parse(410, br#"{"kind":"Status","code":410,"reason":"Expired"}"#);
                reflector.handle(Instant::ZERO, Input::ErrorEvent(Box::new(status)));
                drain(&mut reflector, &mut came);
                assert!(came.call.is_none() && came.wake_at < Instant::FAR_FUTURE);
                let now = came.wake_at;
                reflector.handle(now, Input::Tick);
                let came = list(now, &mut reflector, items, usize::MAX);
                assert_eq!((came.items, came.deltas), (EVENTS, EVENTS + 2));
                reflector
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, watch, pages, relist);
criterion_main!(benches);
