//! What is written to the log, and how often.

use std::{cell::RefCell, fmt, mem, sync::Once};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use super::{script::*, *};

thread_local! {
    static LINES: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Keeps the warnings of threads that listen, as lines. It serves the whole process: a subscriber of
/// one thread could miss what another thread, which has none, came across first.
struct Warnings;

impl Warnings {
    fn listen() {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| {
            tracing::subscriber::set_global_default(Self).unwrap();
            tracing::callsite::rebuild_interest_cache();
        });
        LINES.with(|lines| *lines.borrow_mut() = Some(Vec::new()));
    }

    fn take() -> Vec<String> {
        LINES.with(|lines| mem::take(&mut *lines.borrow_mut()).unwrap())
    }
}

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = fmt::Write::write_fmt(self.0, format_args!("{field}={value:?} "));
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        LINES.with(|lines| {
            if let Some(lines) = &mut *lines.borrow_mut() {
                let mut line = String::new();
                event.record(&mut Line(&mut line));
                lines.push(line);
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

#[tokio::test(start_paused = true)]
async fn bad_objects_are_logged_once_a_minute_however_many_come() {
    Warnings::listen();
    let mut script = Script::new();
    let handle = script.raw();
    let mut conn = script.accept().await;
    conn.watch_list(&[pod("a", 7)], 10);
    shows(&handle, "default/a@7").await;
    let mut version = 10;
    let mut bad = 0;
    for _ in 0..3 {
        for _ in 0..100 {
            version += 1;
            let mut bytes = event("MODIFIED", &pod_with("a", version, r#","x":"@""#)).into_bytes();
            let at = bytes.iter().rposition(|&byte| byte == b'@').unwrap();
            bytes[at] = 0xff;
            conn.send(bytes);
        }
        // Another complaint is not silenced by those.
        conn.send(event("PAINTED", &pod("a", 7)));
        bad += 101;
        let is_all = |state: &State| state.bad_input.as_ref().is_some_and(|b| b.count == bad);
        until(&handle, is_all).await;
        tokio::time::advance(Duration::from_secs(40)).await;
    }
    let lines = Warnings::take();
    let left_out: Vec<_> = lines
        .iter()
        .map(|line| {
            let (_, rest) = line.split_once("left_out=").unwrap();
            (line.contains("PAINTED"), rest.split_once(' ').unwrap().0)
        })
        .collect();
    // At 0, 40 and 80 seconds.
    let expected = [(false, "0"), (true, "0"), (false, "199"), (true, "1")];
    assert_eq!(left_out, expected, "{lines:#?}");
    assert!(lines[0].contains("default/a"), "{}", lines[0]);
}
