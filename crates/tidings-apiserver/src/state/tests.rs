//! The rules of lists, watches and writes, one line a step: what is asked, and what comes.

use serde_json::{Value, json};

use super::*;
use crate::kind::KindRow;

const NOW: u64 = 1_767_225_600;

/// A state with config maps `a`, `b`, .. of the default namespace, created in that order from rv 2.
struct Bench {
    state: State,
    resource: usize,
}

fn bench(names: &str) -> Bench {
    let state = State::new(7);
    let resource = state.resource("", "v1", "configmaps").unwrap();
    let mut bench = Bench { state, resource };
    for name in names.split_whitespace() {
        bench.create(name);
    }
    bench
}

fn map(name: &str) -> Value {
    json!({ "metadata": { "name": name, "labels": { "app": "x" } }, "data": { "k": "v" } })
}

impl Bench {
    fn create(&mut self, name: &str) {
        let created = self
            .state
            .create(self.resource, Some("default"), map(name), NOW);
        created.unwrap();
    }

    fn label(&mut self, name: &str, app: &str) {
        let patch = json!({ "metadata": { "labels": { "app": app } } }).to_string();
        let key = format!("default/{name}");
        let patched = self
            .state
            .patch(self.resource, &key, Patch::Merge, patch.as_bytes());
        patched.unwrap();
    }

    fn delete(&mut self, name: &str) {
        let key = format!("default/{name}");
        self.state.delete(self.resource, &key, NOW).unwrap();
    }

    /// A list as one line: `rv=3 a@2 b@3`, a token as `..`, or `410 Expired`.
    fn list(&self, query: &ListQuery) -> (String, String) {
        let page = match self.state.list(self.resource, query) {
            Ok(page) => page,
            Err(refusal) => {
                let token = refusal.continue_token.unwrap_or_default();
                return (format!("{} {}", refusal.code, refusal.reason), token);
            }
        };
        let body: Vec<u8> = page.chunks(64).flatten().collect();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let meta = &body["metadata"];
        let mut line = format!("rv={}", meta["resourceVersion"].as_str().unwrap());
        for item in body["items"].as_array().unwrap() {
            line += &format!(" {}", short(item));
        }
        if let Some(left) = meta["remainingItemCount"].as_u64() {
            line += &format!(" +{left}");
        }
        let token = meta["continue"].as_str().unwrap_or_default().to_owned();
        if !token.is_empty() {
            line += " ..";
        }
        (line, token)
    }

    fn line(&self, query: &ListQuery) -> String {
        self.list(query).0
    }

    fn open(&self, query: &WatchQuery) -> Watch {
        let watch = self.state.watch(self.resource, query, WatchListSupport::On);
        watch.unwrap()
    }

    /// What a watch sends until it is level, as one line.
    fn take(&self, watch: &mut Watch) -> String {
        let mut out = Vec::new();
        let mut step = WatchStep::More;
        while step == WatchStep::More {
            let len = out.len();
            step = watch.step(&self.state, len + 1, &mut out);
        }
        let mut line = frames(&out);
        if step == WatchStep::Ended {
            line.push("end".to_owned());
        }
        line.join(" ")
    }
}

fn short(object: &Value) -> String {
    let meta = &object["metadata"];
    let (name, rv) = (&meta["name"], &meta["resourceVersion"]);
    format!("{}@{}", name.as_str().unwrap_or(""), rv.as_str().unwrap())
}

fn frames(out: &[u8]) -> Vec<String> {
    let values = serde_json::Deserializer::from_slice(out).into_iter::<Value>();
    let line = |frame: Value| {
        let (kind, object) = (frame["type"].as_str().unwrap(), &frame["object"]);
        if kind == "ERROR" {
            return format!("ERROR {} {}", object["code"], object["reason"]);
        }
        let end = &object["metadata"]["annotations"]["k8s.io/initial-events-end"];
        let end = if end == "true" { " end" } else { "" };
        format!("{} {}{end}", &kind[..1], short(object))
    };
    values.map(|frame| line(frame.unwrap())).collect()
}

fn at(version: &str) -> ListQuery {
    ListQuery {
        resource_version: version.to_owned(),
        ..ListQuery::default()
    }
}

fn page(limit: usize, token: &str) -> ListQuery {
    ListQuery {
        limit,
        continue_token: token.to_owned(),
        ..ListQuery::default()
    }
}

fn watch_at(version: &str) -> WatchQuery {
    WatchQuery {
        list: at(version),
        bookmarks: true,
        send_initial_events: None,
    }
}

fn watch_list(version: &str) -> WatchQuery {
    let mut query = watch_at(version);
    query.list.version_match = Some(Match::NotOlderThan);
    query.send_initial_events = Some(true);
    query
}

#[test]
fn pr_l1_pr_l2_a_list_at_any_version_has_no_limit() {
    let bench = bench("b a c");
    assert_eq!(bench.line(&at("")), "rv=4 a@3 b@2 c@4");
    let mut any = at("0");
    any.limit = 1;
    assert_eq!(bench.line(&any), "rv=4 a@3 b@2 c@4");
    any.version_match = Some(Match::NotOlderThan);
    assert_eq!(bench.line(&any), "rv=4 a@3 b@2 c@4");
}

#[test]
fn pr_l3_cg_v10_a_version_is_a_lower_bound_or_with_a_limit_exact() {
    let mut bench = bench("a b");
    bench.label("a", "y");
    bench.delete("b");
    assert_eq!(bench.line(&at("3")), "rv=5 a@4");
    let mut limited = at("3");
    limited.limit = 10;
    assert_eq!(bench.line(&limited), "rv=3 a@2 b@3");
    limited.version_match = Some(Match::NotOlderThan);
    assert_eq!(bench.line(&limited), "rv=5 a@4");
    let mut exact = at("2");
    exact.version_match = Some(Match::Exact);
    assert_eq!(bench.line(&exact), "rv=2 a@2");
    bench.state.compact();
    assert_eq!(bench.line(&exact), "410 Expired");
}

#[test]
fn pr_l4_options_that_do_not_go_together_are_invalid() {
    let bench = bench("a");
    let with = |change: fn(&mut ListQuery)| {
        let mut query = ListQuery::default();
        change(&mut query);
        bench.line(&query)
    };
    let invalid = "422 Invalid";
    assert_eq!(with(|q| q.version_match = Some(Match::Exact)), invalid);
    assert_eq!(with(|q| q.send_initial_events = true), invalid);
    let zero = |q: &mut ListQuery| {
        q.resource_version = "0".to_owned();
        q.version_match = Some(Match::Exact);
    };
    assert_eq!(with(zero), invalid);
}

#[test]
fn pr_l5_a_token_takes_no_version_and_a_version_is_a_number() {
    let bench = bench("a b");
    let (_, token) = bench.list(&page(1, ""));
    let mut query = page(1, &token);
    query.resource_version = "2".to_owned();
    assert_eq!(bench.line(&query), "400 BadRequest");
    query.resource_version = "0".to_owned();
    assert_eq!(bench.line(&query), "rv=3 b@3");
    assert_eq!(bench.line(&at("x")), "400 BadRequest");
    assert_eq!(bench.line(&page(1, "rubbish")), "400 BadRequest");
}

#[test]
fn pr_l6_a_version_of_the_future_is_waited_for_and_then_too_large() {
    let mut bench = bench("a");
    assert_eq!(bench.state.awaited_version(&at("3")), Some(3));
    let refusal = bench.state.list(bench.resource, &at("3")).err().unwrap();
    let status: Value = serde_json::from_slice(&refusal.to_json()).unwrap();
    assert_eq!(
        (refusal.code, status["reason"].as_str()),
        (504, Some("Timeout"))
    );
    assert_eq!(
        status["message"],
        "Timeout: Too large resource version: 3, current: 2"
    );
    assert_eq!(status["details"]["retryAfterSeconds"], 1);
    assert_eq!(
        status["details"]["causes"][0]["reason"],
        "ResourceVersionTooLarge"
    );
    bench.create("b");
    assert_eq!(bench.state.awaited_version(&at("3")), None);
}

#[test]
fn pr_l9_pages_go_on_at_the_version_of_the_first() {
    let mut bench = bench("a b c d");
    let (first, token) = bench.list(&page(2, ""));
    assert_eq!(first, "rv=5 a@2 b@3 +2 ..");
    bench.delete("c");
    bench.label("d", "y");
    bench.create("e");
    bench.create("aa");
    let (second, token) = bench.list(&page(1, &token));
    assert_eq!(second, "rv=5 c@4 +1 ..");
    assert_eq!(bench.line(&page(0, &token)), "rv=5 d@5");
}

#[test]
fn pr_l10_an_expired_token_comes_with_one_that_goes_on_inconsistently() {
    let mut bench = bench("a b c");
    let (_, token) = bench.list(&page(1, ""));
    bench.create("d");
    bench.state.expire_tokens();
    let (line, fresh) = bench.list(&page(1, &token));
    assert_eq!(line, "410 Expired");
    assert_eq!(bench.line(&page(0, &fresh)), "rv=5 b@3 c@4 d@5");
    bench.state.compact();
    assert_eq!(bench.line(&page(1, &token)), "410 Expired");
}

#[test]
fn pr_l13_with_a_selector_the_rest_is_not_counted() {
    let mut bench = bench("a b c d");
    bench.label("b", "y");
    let mut query = page(1, "");
    query.label_selector = "app=x".to_owned();
    let (line, token) = bench.list(&query);
    assert_eq!(line, "rv=6 a@2 ..");
    query.continue_token = token;
    query.limit = 0;
    assert_eq!(bench.line(&query), "rv=6 c@4 d@5");
}

/// Nothing can follow it: there it is read by its key.
#[test]
fn pr_l13_a_list_of_one_name_in_one_namespace_is_over_with_it() {
    let bench = bench("a b c d");
    let mut query = page(1, "");
    query.field_selector = "metadata.name=b".to_owned();
    assert_eq!(
        bench.line(&query),
        "rv=5 b@3 ..",
        "other namespaces may have one"
    );
    query.namespace = Some("default".to_owned());
    assert_eq!(bench.line(&query), "rv=5 b@3");
}

#[test]
fn pr_l17_pr_l18_typed_lists_begin_with_metadata_and_custom_ones_end_with_it() {
    let mut bench = bench("a");
    bench
        .state
        .register(KindRow::custom("example.com", "v1", "widgets", "Widget"));
    let widgets = bench
        .state
        .resource("example.com", "v1", "widgets")
        .unwrap();
    let widget = json!({ "metadata": { "name": "w" } });
    let created = bench.state.create(widgets, Some("default"), widget, NOW);
    created.unwrap();
    let text = |resource| {
        let page = bench.state.list(resource, &ListQuery::default()).unwrap();
        let is_longer_than = |bytes| {
            let page = bench.state.list(resource, &ListQuery::default());
            page.unwrap().is_longer_than(bytes)
        };
        let body: Vec<u8> = page.chunks(1).flatten().collect();
        assert!(is_longer_than(body.len() - 1) && !is_longer_than(body.len()));
        String::from_utf8(body).unwrap()
    };
    let typed = text(bench.resource);
    let head = r#"{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"3"},"items":[{"metadata":{"name":"a","namespace":"default","uid":""#;
    assert!(typed.starts_with(head), "{typed}");
    let custom = text(widgets);
    let head = r#"{"apiVersion":"example.com/v1","items":[{"kind":"Widget","apiVersion":"#;
    assert!(custom.starts_with(head), "{custom}");
    let tail = "],\"kind\":\"WidgetList\",\"metadata\":{\"resourceVersion\":\"3\"}}\n";
    assert!(custom.ends_with(tail), "{custom}");
}

/// A piece of no bytes would end the body before its items.
#[test]
fn a_list_in_pieces_of_no_bytes_is_whole() {
    let bench = bench("a b");
    let body = |bytes| {
        let page = bench.state.list(bench.resource, &ListQuery::default());
        page.unwrap().chunks(bytes).flatten().collect::<Vec<u8>>()
    };
    assert_eq!(body(0), body(1 << 20));
}

#[test]
fn pr_l19_an_empty_list_has_empty_items() {
    assert_eq!(bench("").line(&at("")), "rv=1");
}

#[test]
fn pr_l24_a_namespace_is_a_range_of_keys() {
    let mut bench = bench("a");
    for namespace in ["defaul", "default-x", "default0", "e"] {
        let created = bench
            .state
            .create(bench.resource, Some(namespace), map("z"), NOW);
        created.unwrap();
    }
    let mut query = page(1, "");
    query.namespace = Some("default".to_owned());
    assert_eq!(bench.line(&query), "rv=6 a@2");
    let (_, token) = bench.list(&page(4, ""));
    query.continue_token = token;
    assert_eq!(bench.line(&query), "rv=6", "a token of another list");
}

#[test]
fn field_selectors_know_the_fields_of_the_table() {
    let mut bench = bench("a b");
    let mut query = at("");
    query.field_selector = "metadata.name=b".to_owned();
    assert_eq!(bench.line(&query), "rv=3 b@3");
    query.field_selector = "data.k=v".to_owned();
    assert_eq!(bench.line(&query), "400 BadRequest");
    bench.resource = bench.state.resource("", "v1", "pods").unwrap();
    let pod = json!({ "metadata": { "name": "p" }, "spec": { "nodeName": "n1" } });
    let created = bench
        .state
        .create(bench.resource, Some("default"), pod, NOW);
    created.unwrap();
    query.field_selector =
        "spec.nodeName=n1,spec.hostNetwork=false,status.phase!=Failed".to_owned();
    assert_eq!(bench.line(&query), "rv=4 p@4");
}

#[test]
fn pr_e1_pr_e2_cg_v6_changes_come_in_order_and_a_deletion_has_its_own_version() {
    let mut bench = bench("a");
    let mut watch = bench.open(&watch_at("2"));
    assert_eq!(bench.take(&mut watch), "");
    bench.create("b");
    bench.label("a", "y");
    bench.delete("a");
    assert_eq!(bench.take(&mut watch), "A b@3 M a@4 D a@5");
    let mut again = bench.open(&watch_at("3"));
    assert_eq!(bench.take(&mut again), "M a@4 D a@5");
}

#[test]
fn pr_e3_cg_v6_leaving_a_selection_is_a_deletion_with_the_previous_content() {
    let mut bench = bench("a");
    let mut query = watch_at("2");
    query.list.label_selector = "app=x".to_owned();
    let mut watch = bench.open(&query);
    bench.label("a", "y");
    let mut out = Vec::new();
    watch.step(&bench.state, 1 << 20, &mut out);
    let frame: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(frame["type"], "DELETED");
    assert_eq!(frame["object"]["metadata"]["labels"]["app"], "x");
    assert_eq!(frame["object"]["metadata"]["resourceVersion"], "3");
    bench.label("a", "x");
    assert_eq!(bench.take(&mut watch), "A a@4");
}

#[test]
fn pr_e5_pr_e9_cg_v1_a_watch_list_ends_its_state_with_one_bookmark() {
    let mut bench = bench("b a");
    let mut watch = bench.open(&watch_list(""));
    bench.create("c");
    assert_eq!(
        bench.take(&mut watch),
        "A a@3 B b@2".replace("B b", "A b") + " B @3 end A c@4"
    );
    let mut silent = bench.open(&watch_list(""));
    silent.forget_end_bookmark();
    assert_eq!(bench.take(&mut silent), "A a@3 A b@2 A c@4");
}

#[test]
fn pr_e11b_a_bookmark_is_newer_than_the_beginning_of_its_watch() {
    let mut bench = bench("a");
    let mut watch = bench.open(&watch_at("2"));
    assert_eq!(bench.take(&mut watch), "");
    let bookmark = |bench: &Bench, watch: &mut Watch| {
        let mut out = Vec::new();
        watch.bookmark(&bench.state, &mut out);
        frames(&out).join(" ")
    };
    assert_eq!(bookmark(&bench, &mut watch), "");
    bench.create("b");
    assert_eq!(bench.take(&mut watch), "A b@3");
    assert_eq!(bookmark(&bench, &mut watch), "B @3");
}

#[test]
fn pr_w11_cg_v4_a_forgotten_version_is_an_error_event() {
    let mut bench = bench("a b c");
    bench.state.compact();
    let mut watch = bench.open(&watch_at("2"));
    assert_eq!(bench.take(&mut watch), "ERROR 410 \"Expired\" end");
    assert_eq!(bench.take(&mut watch), "end");
    let mut level = bench.open(&watch_at("4"));
    assert_eq!(bench.take(&mut level), "");
}

#[test]
fn pr_w13_pr_w14_cg_v8_a_watch_without_a_version_begins_with_the_state() {
    let bench = bench("a");
    for version in ["", "0"] {
        let mut watch = bench.open(&watch_at(version));
        assert_eq!(bench.take(&mut watch), "A a@2 B @2 end");
        let query = watch_at(version);
        let old = WatchListSupport::Ignored;
        let mut old = bench.state.watch(bench.resource, &query, old).unwrap();
        assert_eq!(bench.take(&mut old), "A a@2");
    }
}

#[test]
fn pr_w15_pr_w16_a_version_of_the_future_is_silence_or_with_initial_events_an_error() {
    let mut bench = bench("a");
    let mut watch = bench.open(&watch_at("4"));
    bench.create("b");
    bench.create("c");
    assert_eq!(bench.take(&mut watch), "");
    bench.create("d");
    assert_eq!(bench.take(&mut watch), "A d@5");
    let mut watch = bench.open(&watch_list("9"));
    assert_eq!(bench.take(&mut watch), "ERROR 504 \"Timeout\" end");
}

#[test]
fn pr_w18_cg_v5_a_watch_that_falls_behind_the_history_ends_without_a_word() {
    let mut bench = bench("a");
    bench.state.set_history_max(2);
    let mut watch = bench.open(&watch_at("2"));
    assert_eq!(bench.take(&mut watch), "");
    for name in ["b", "c", "d"] {
        bench.create(name);
    }
    assert_eq!(bench.take(&mut watch), "end");
}

#[test]
fn the_history_is_bounded_by_its_bytes_too_and_counts_what_it_alone_holds() {
    let mut bench = bench("");
    assert_eq!(bench.state.history_size(), HistorySize::default());
    let long = |letter: &str| json!({ "metadata": { "name": "a" }, "data": { "x": letter.repeat(1_000) } });
    let created = bench
        .state
        .create(bench.resource, Some("default"), long("a"), NOW);
    let len = created.unwrap().held_bytes_len();
    let record = bench.state.history_size();
    assert_eq!(record.entries, 1);
    assert!(
        record.bytes < 100,
        "what is there is not the history's: {record:?}"
    );
    for letter in ["b", "c", "d"] {
        let updated = bench
            .state
            .update(bench.resource, "default/a", long(letter));
        assert_eq!(updated.unwrap().held_bytes_len(), len);
    }
    let size = bench.state.history_size();
    assert_eq!((size.entries, size.bytes), (4, 4 * record.bytes + 3 * len));
    bench.delete("a");
    let size = bench.state.history_size();
    assert_eq!(
        (size.entries, size.bytes),
        (5, 5 * record.bytes + 5 * len),
        "a deletion leaves two"
    );
    bench.state.set_history_bytes_max(3 * len);
    bench.state.history.check_invariants();
    assert_eq!(bench.state.history_size().entries, 1);
    bench.state.set_history_bytes_max(0);
    assert_eq!(
        bench.state.history_size().entries,
        1,
        "the last change stays"
    );
    let mut watch = bench.open(&watch_at("2"));
    assert_eq!(bench.take(&mut watch), "ERROR 410 \"Expired\" end");
    bench.state.compact();
    assert_eq!(bench.state.history_size(), HistorySize::default());
}

#[test]
fn labels_are_found_whatever_they_look_like_as_json() {
    let mut bench = bench("");
    for (name, labels) in [
        ("a", json!({ "app": "x", "tier": "y" })),
        ("b", json!({ "app": "xx" })),
        ("c", json!({ "note": "\"app\":\"x\"" })),
        ("d", json!({ "deep": { "app": "x" } })),
        ("e", json!({ "app": "" })),
        ("f", json!(null)),
        ("g", json!({ "app": "y", "deep": { "app": "x" } })),
    ] {
        let map = json!({ "metadata": { "name": name, "labels": labels } });
        let created = bench
            .state
            .create(bench.resource, Some("default"), map, NOW);
        created.unwrap();
    }
    for (selector, expected) in [
        ("app=x", "a"),
        ("app==x,tier=y", "a"),
        ("app=x,tier=z", ""),
        ("app=", "e"),
        ("app!=x", "b c d e f g"),
        ("app in (x,xx)", "a b"),
    ] {
        let query = ListQuery {
            label_selector: selector.to_owned(),
            ..ListQuery::default()
        };
        let page = bench.state.list(bench.resource, &query).unwrap();
        let names = page.items.iter().map(|item| item.name.as_str());
        assert_eq!(names.collect::<Vec<_>>().join(" "), expected, "{selector}");
    }
}

#[test]
fn a_list_is_of_the_moment_of_its_snapshot() {
    let mut bench = bench("a b c d");
    let mut query = at("");
    query.limit = 2;
    let snapshot = bench.state.snapshot(bench.resource, &query).unwrap();
    let past = ListQuery {
        version_match: Some(Match::Exact),
        ..at("3")
    };
    let of_the_past = bench.state.snapshot(bench.resource, &past).unwrap();
    bench.delete("a");
    bench.create("e");
    bench.state.compact();
    let shown = |page: Page| {
        let body: Vec<u8> = page.chunks(64).flatten().collect();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let items = body["items"].as_array().unwrap().iter();
        let left = &body["metadata"]["remainingItemCount"];
        let items: Vec<String> = items.map(short).collect();
        format!("{} +{left}", items.join(" "))
    };
    assert_eq!(shown(snapshot.page()), "a@2 b@3 +2");
    assert_eq!(shown(of_the_past.page()), "a@2 b@3 +null");
}

#[test]
fn pr_s3_cg_v9_initial_events_are_refused_where_the_feature_is_off_or_the_match_is_missing() {
    let bench = bench("a");
    let code = |query: &WatchQuery, support| {
        let watch = bench.state.watch(bench.resource, query, support);
        watch.err().map(|refusal| refusal.code)
    };
    assert_eq!(code(&watch_list(""), WatchListSupport::Refused), Some(422));
    assert_eq!(code(&watch_list(""), WatchListSupport::On), None);
    let mut query = watch_list("");
    query.list.version_match = None;
    assert_eq!(code(&query, WatchListSupport::On), Some(422));
    let mut query = watch_at("2");
    query.list.version_match = Some(Match::NotOlderThan);
    assert_eq!(code(&query, WatchListSupport::On), Some(422));
}

#[test]
fn pr_f9_a_restored_state_goes_back_and_forgets() {
    let mut bench = bench("a");
    let checkpoint = bench.state.checkpoint();
    bench.create("b");
    bench.state.restore(&checkpoint);
    assert_eq!(bench.line(&at("")), "rv=2 a@2");
    bench.create("c");
    assert_eq!(bench.line(&at("")), "rv=3 a@2 c@3");
    let mut watch = bench.open(&watch_at("1"));
    assert_eq!(bench.take(&mut watch), "ERROR 410 \"Expired\" end");
}

#[test]
fn pr_n9_a_json_patch_has_bounds() {
    let mut bench = bench("a");
    let mut patch = |operations: Value| {
        let body = operations.to_string();
        let (resource, body) = (bench.resource, body.as_bytes());
        let patched = bench.state.patch(resource, "default/a", Patch::Json, body);
        patched.map(|_| ()).map_err(|refusal| refusal.code)
    };
    let test = json!({ "op": "test", "path": "/data/k", "value": "v" });
    assert_eq!(patch(json!([test])), Ok(()));
    assert_eq!(patch(Value::from(vec![test; 10_001])), Err(413));
    // Each copy takes the one before along.
    let copies = (0..40).map(|number| {
        let from = "/data";
        json!({ "op": "copy", "from": from, "path": format!("/data/c{number}") })
    });
    assert_eq!(patch(copies.collect()), Err(422));
}
