//! Listens to everything that is logged, for what must not be said (SEC-27).
//!
//! Keeps nothing: a line is looked at and forgotten, so that the log costs no memory that a row
//! would be blamed for.

use std::{
    cell::RefCell,
    fmt,
    sync::{
        Once,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// The bearer token that the informer sends.
pub(crate) const TOKEN: &str = "hunter2-the-token";
/// A word in the body of an object.
pub(crate) const CONTENT: &str = "hunter2-the-content";
/// What both have in common.
const CANARY: &str = "hunter2";

static LINES: AtomicU64 = AtomicU64::new(0);
static LEAKS: AtomicU64 = AtomicU64::new(0);

struct Listener;

thread_local! {
    static LINE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Listens from now on.
pub(crate) fn listen() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        tracing::subscriber::set_global_default(Listener).unwrap();
    });
}

/// Lines so far, and how many of them told a secret.
pub(crate) fn heard() -> (u64, u64) {
    (LINES.load(Relaxed), LEAKS.load(Relaxed))
}

/// Fails if a text tells a secret.
pub(crate) fn keeps_secrets(text: &str) {
    assert!(!text.contains(CANARY), "told: {text}");
}

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = fmt::Write::write_fmt(self.0, format_args!("{field}={value:?} "));
    }
}

impl Subscriber for Listener {
    /// Everything that we log, and what others log without being asked for their innermost.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("tidings") || *metadata.level() <= Level::INFO
    }

    fn event(&self, event: &Event<'_>) {
        LINE.with(|line| {
            let mut line = line.borrow_mut();
            line.clear();
            event.record(&mut Line(&mut line));
            LINES.fetch_add(1, Relaxed);
            if line.contains(CANARY) {
                LEAKS.fetch_add(1, Relaxed);
            }
        });
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}
