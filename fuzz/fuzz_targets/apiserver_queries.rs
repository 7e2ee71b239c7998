//! No query of a list or a watch makes the API server's state panic, and what it answers is whole.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use tidings_api::{
    frame::{Frame, FrameDecoder},
    limits::Limits,
};
use tidings_apiserver::{
    State,
    state::{ListQuery, Match, WatchListSupport, WatchQuery, WatchStep},
};

#[derive(Arbitrary, Debug)]
struct Input {
    queries: Vec<Query>,
}

#[derive(Arbitrary, Debug)]
struct Query {
    resource: bool,
    namespace: Option<bool>,
    labels: Text,
    fields: Text,
    version: Text,
    token: Option<Text>,
    limit: u8,
    version_match: Option<bool>,
    send_initial_events: Option<bool>,
    bookmarks: bool,
    support: u8,
    is_watch: bool,
    bytes: u16,
}

/// A text that means something, or any.
#[derive(Arbitrary, Debug)]
enum Text {
    Known(u8),
    Any(String),
}

const LABELS: [&str; 6] = ["", "app=web", "app in (web,db),!x", "app!=web", "n>3", "(("];
const FIELDS: [&str; 6] = [
    "",
    "metadata.name=o3",
    "metadata.namespace!=other",
    "spec.nodeName=n1",
    "status.phase=Running",
    "no.such=1",
];
const VERSIONS: [&str; 8] = [
    "",
    "0",
    "1",
    "12",
    "20",
    "999999",
    "18446744073709551616",
    "x",
];

impl Text {
    fn of<'a>(&'a self, words: &[&'a str]) -> String {
        match self {
            Self::Known(index) => words[usize::from(*index) % words.len()].to_owned(),
            Self::Any(text) => text.clone(),
        }
    }
}

fn filled() -> State {
    let mut state = State::new(1);
    for (plural, count) in [("configmaps", 7), ("pods", 9)] {
        let resource = state
            .resource("", "v1", plural)
            .expect("a kind of the table");
        for number in 0..count {
            let namespace = if number % 3 == 0 { "other" } else { "default" };
            let app = if number % 2 == 0 { "web" } else { "db" };
            let document = json!({
                "metadata": { "name": format!("o{number}"), "labels": { "app": app, "n": number.to_string() } },
                "spec": { "nodeName": format!("n{}", number % 2) }
            });
            let _ = state.create(resource, Some(namespace), document, 1_700_000_000);
        }
        let _ = state.delete(resource, "default/o1", 1_700_000_000);
    }
    state
}

fn watch(state: &State, resource: usize, query: &Query, list: ListQuery) {
    let support = [
        WatchListSupport::On,
        WatchListSupport::Refused,
        WatchListSupport::Ignored,
    ];
    let query_of_watch = WatchQuery {
        list,
        bookmarks: query.bookmarks,
        send_initial_events: query.send_initial_events,
    };
    let support = support[usize::from(query.support) % 3];
    let Ok(mut watch) = state.watch(resource, &query_of_watch, support) else {
        return;
    };
    let (mut out, mut steps) = (Vec::new(), 0);
    loop {
        // What a step appends is sent before the next one.
        let mut sent = Vec::new();
        let step = watch.step(state, usize::from(query.bytes).max(1), &mut sent);
        out.append(&mut sent);
        if step != WatchStep::More {
            break;
        }
        steps += 1;
        assert!(steps < 1000, "a watch does not end");
    }
    watch.bookmark(state, &mut out);
    let mut frames = FrameDecoder::new(&Limits::default());
    let fed = frames.feed(&out, &mut |frame| {
        assert!(!matches!(frame, Frame::Unknown { .. }), "{frame:?}");
    });
    assert_eq!((fed, frames.finish()), (Ok(()), Ok(())));
}

fuzz_target!(|input: Input| {
    let mut state = filled();
    let mut token = String::new();
    for query in input.queries.iter().take(12) {
        let plural = if query.resource { "pods" } else { "configmaps" };
        let resource = state
            .resource("", "v1", plural)
            .expect("a kind of the table");
        let namespace = query
            .namespace
            .map(|other| if other { "other" } else { "default" }.to_owned());
        let list = ListQuery {
            namespace: namespace.clone(),
            label_selector: query.labels.of(&LABELS),
            field_selector: query.fields.of(&FIELDS),
            resource_version: query.version.of(&VERSIONS),
            version_match: query.version_match.map(|exact| {
                if exact {
                    Match::Exact
                } else {
                    Match::NotOlderThan
                }
            }),
            limit: usize::from(query.limit % 5),
            continue_token: query
                .token
                .as_ref()
                .map_or_else(String::new, |text| text.of(&[&token, "x"])),
            send_initial_events: query.send_initial_events.unwrap_or(false),
        };
        if query.is_watch {
            watch(&state, resource, query, list);
            continue;
        }
        // pr-L2: a list of whatever the server has knows no limit.
        let is_of_any = list.continue_token.is_empty()
            && list.version_match != Some(Match::Exact)
            && list.resource_version.parse() == Ok(0_u64);
        let limit = if is_of_any { 0 } else { list.limit };
        let Ok(page) = state.list(resource, &list) else {
            continue;
        };
        let count = page.items.len();
        let bytes: Vec<u8> = page.chunks(usize::from(query.bytes)).flatten().collect();
        let body: Value = serde_json::from_slice(&bytes).expect("a list is JSON");
        assert_eq!(body["items"].as_array().map(Vec::len), Some(count));
        assert!(limit == 0 || count <= limit);
        for item in body["items"].as_array().into_iter().flatten() {
            assert!(
                namespace
                    .as_ref()
                    .is_none_or(|it| item["metadata"]["namespace"] == it.as_str())
            );
        }
        token = body["metadata"]["continue"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        if query.support == 255 {
            state.compact();
        }
    }
});
