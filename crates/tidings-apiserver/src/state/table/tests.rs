//! Cells as kubectl shows them, heads once, and metadata that is nothing else.

use super::{super::State, *};
use crate::state::{ListQuery, WatchListSupport, WatchQuery};

/// The cells of one object of a kind, as of 2026-01-02T03:04:05Z.
fn cells(group: &str, plural: &str, document: &Value) -> String {
    let shown = columns::of(group, plural)
        .iter()
        .map(|column| column.cell(document, NOW));
    let shown: Vec<String> = shown.map(|cell| text_of(&cell)).collect();
    shown.join(" | ")
}

const NOW: u64 = 1_767_323_045;

#[test]
fn durations_have_two_or_three_figures() {
    let rows = [
        (-2, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (599, "9m59s"),
        (600, "10m"),
        (3 * 3_600 - 1, "179m"),
        (3 * 3_600, "3h"),
        (3 * 3_600 + 61, "3h1m"),
        (8 * 3_600, "8h"),
        (48 * 3_600 - 1, "47h"),
        (49 * 3_600, "2d1h"),
        (8 * 86_400, "8d"),
        (729 * 86_400, "729d"),
        (731 * 86_400, "2y1d"),
        (8 * 365 * 86_400, "8y"),
    ];
    for (seconds, expected) in rows {
        assert_eq!(age::human(seconds), expected, "{seconds}");
    }
}

#[test]
fn timestamps_are_read_in_every_zone_and_nothing_else_is() {
    let rows = [
        ("1970-01-01T00:00:00Z", Some(0)),
        ("2000-02-29T00:00:00Z", Some(951_782_400)),
        ("2026-01-02T03:04:05Z", Some(NOW.cast_signed())),
        ("2026-01-02T03:04:05.123456Z", Some(NOW.cast_signed())),
        ("2026-01-02T04:34:05+01:30", Some(NOW.cast_signed())),
        ("2026-01-01T23:04:05-04:00", Some(NOW.cast_signed())),
        ("2026-13-02T03:04:05Z", None),
        ("2026-01-02 03:04:05Z", None),
        ("2026-01-02T03:04:05", None),
        ("2026-01-02T03:04:05+0\u{e9}0", None),
        ("", None),
    ];
    for (text, expected) in rows {
        assert_eq!(age::unix_seconds(text), expected, "{text}");
    }
}

#[test]
fn paths_find_what_they_name() {
    let document = json!({
        "a": { "b.c": 1, "list": [{ "t": "X", "v": "x" }, { "t": "Y", "v": "y" }], "nothing": null }
    });
    let rows = [
        (".a.list[0].v", "x"),
        (".a.list[-1].v", "y"),
        (".a.list[*].v", "x y"),
        (".a.list.*.t", ""),
        (".a.list[?(@.t==\"Y\")].v", "y"),
        (".a.list[?(@.t!='Y')].v", "x"),
        (".a.b\\.c", "1"),
        ("$.a['b.c']", "1"),
        (".a.nothing", "<nil>"),
        (".a.list[7].v", ""),
        (".absent.more", ""),
    ];
    for (path, expected) in rows {
        let path = JsonPath::parse(path);
        let found = path.as_ref().map(|path| path.find(&document)).unwrap();
        let shown: Vec<String> = found.into_iter().map(text_of).collect();
        // A wildcard after a list goes through it.
        let expected = if path == JsonPath::parse(".a.list.*.t") {
            "X Y"
        } else {
            expected
        };
        assert_eq!(shown.join(" "), expected, "{path:?}");
    }
    for bad in ["a", ".a..b", ".a[", ".a[x]", ".a[?(b)]", "."] {
        assert_eq!(JsonPath::parse(bad), None, "{bad}");
    }
}

#[test]
fn a_pod_is_told_by_its_containers() {
    let status = |status: Value| {
        let containers = json!([{ "name": "a", "image": "i" }, { "name": "b", "image": "i" }]);
        let pod = json!({ "metadata": { "name": "p", "creationTimestamp": "2026-01-02T03:03:05Z" },
            "spec": { "containers": containers, "initContainers": [{ "name": "i" }] }, "status": status });
        let shown = cells("", "pods", &pod);
        shown
            .split(" | ")
            .skip(1)
            .take(3)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let running = json!({ "ready": true, "state": { "running": {} } });
    let crashed = json!({ "restartCount": 3, "state": { "waiting": { "reason": "CrashLoopBackOff" } },
        "lastState": { "terminated": { "finishedAt": "2026-01-02T03:03:05Z" } } });
    let done = json!({ "state": { "terminated": { "reason": "Completed", "exitCode": 0 } } });
    let failed = json!({ "state": { "terminated": { "exitCode": 7 } } });
    let rows = [
        (json!({ "phase": "Pending" }), "0/2 Pending 0"),
        (
            json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled", "reason": "SchedulingGated" }] }),
            "0/2 SchedulingGated 0",
        ),
        (
            json!({ "phase": "Running", "containerStatuses": [running, running] }),
            "2/2 Running 0",
        ),
        (
            json!({ "phase": "Running", "containerStatuses": [crashed, running] }),
            "1/2 CrashLoopBackOff 3 (60s ago)",
        ),
        (
            json!({ "phase": "Running", "containerStatuses": [done, running] }),
            "1/2 NotReady 0",
        ),
        (
            json!({ "phase": "Running", "containerStatuses": [done, running],
            "conditions": [{ "type": "Ready", "status": "True" }] }),
            "1/2 Running 0",
        ),
        (
            json!({ "phase": "Failed", "containerStatuses": [done, failed] }),
            "0/2 ExitCode:7 0",
        ),
        (
            json!({ "phase": "Pending", "initContainerStatuses": [failed] }),
            "0/2 Init:ExitCode:7 0",
        ),
        (
            json!({ "phase": "Pending", "initContainerStatuses": [{ "name": "i", "restartCount": 2 }] }),
            "0/2 Init:0/1 2",
        ),
        (
            json!({ "phase": "Failed", "reason": "Evicted" }),
            "0/2 Evicted 0",
        ),
    ];
    for (given, expected) in rows {
        let expected = if given["containerStatuses"][1] == failed {
            "0/2 ExitCode:7 0"
        } else {
            expected
        };
        assert_eq!(status(given.clone()), expected, "{given}");
    }
}

type Row = (&'static str, &'static str, Value, &'static str);

const BORN: &str = "2026-01-02T03:03:05Z";

fn workloads() -> Vec<Row> {
    vec![
        (
            "",
            "configmaps",
            json!({ "data": { "a": "1" }, "binaryData": { "b": "" } }),
            "x | 2 | 60s",
        ),
        (
            "",
            "namespaces",
            json!({ "status": { "phase": "Active" } }),
            "x | Active | 60s",
        ),
        (
            "",
            "services",
            json!({ "spec": { "type": "NodePort", "clusterIPs": ["10.96.0.1"], "selector": { "a": "b" },
            "ports": [{ "port": 80, "nodePort": 30000, "protocol": "TCP" }, { "port": 53, "protocol": "UDP" }] } }),
            "x | NodePort | 10.96.0.1 | <none> | 80:30000/TCP,53/UDP | 60s | a=b",
        ),
        (
            "",
            "services",
            json!({ "spec": { "type": "LoadBalancer" } }),
            "x | LoadBalancer | <none> | <pending> | <none> | 60s | <none>",
        ),
        (
            "apps",
            "deployments",
            json!({ "spec": { "replicas": 3, "selector": { "matchLabels": { "b": "1" },
            "matchExpressions": [{ "key": "a", "operator": "In", "values": ["z", "y"] }] },
            "template": { "spec": { "containers": [{ "name": "c", "image": "i:1" }] } } },
            "status": { "readyReplicas": 1, "updatedReplicas": 2 } }),
            "x | 1/3 | 2 | 0 | 60s | c | i:1 | a in (y,z),b=1",
        ),
        (
            "batch",
            "jobs",
            json!({ "spec": { "completions": 2 }, "status": { "succeeded": 1, "startTime": BORN } }),
            "x | Running | 1/2 | 60s | 60s |  |  | <none>",
        ),
        (
            "batch",
            "cronjobs",
            json!({ "spec": { "schedule": "* * * * *", "suspend": false } }),
            "x | * * * * * | <none> | False | 0 | <none> | 60s |  |  | <none>",
        ),
    ]
}

fn others() -> Vec<Row> {
    vec![
        (
            "networking.k8s.io",
            "ingresses",
            json!({ "spec": { "rules": [{ "host": "a" }, { "host": "b" }, { "host": "c" },
            { "host": "d" }], "tls": [{}] }, "status": { "loadBalancer": { "ingress": [{ "hostname": "h" }] } } }),
            "x | <none> | a,b,c + 1 more... | h | 80, 443 | 60s",
        ),
        (
            "discovery.k8s.io",
            "endpointslices",
            json!({ "addressType": "IPv4", "ports": [{ "port": 8080 }],
            "endpoints": [{ "addresses": ["1", "2"] }, { "addresses": ["3", "4"] }] }),
            "x | IPv4 | 8080 | 1,2,3 + 1 more... | 60s",
        ),
        (
            "coordination.k8s.io",
            "leases",
            json!({ "spec": { "holderIdentity": "me" } }),
            "x | me | 60s",
        ),
        (
            "",
            "nodes",
            json!({ "spec": { "unschedulable": true }, "status": { "conditions": [{ "type": "Ready", "status": "True" }],
            "nodeInfo": { "kernelVersion": "6", "architecture": "amd64" } } }),
            "x | Ready,SchedulingDisabled | <none> | 60s |  | <none> | <none> | <unknown> | 6 (amd64) | <unknown>",
        ),
        (
            "",
            "events",
            json!({ "lastTimestamp": BORN, "type": "Normal", "reason": "R", "message": " m ",
            "involvedObject": { "kind": "Pod", "name": "p" }, "source": { "component": "c", "host": "h" } }),
            "60s | Normal | R | pod/p |  | c, h | m | <unknown> | 1 | x",
        ),
        ("x.io", "unknown", json!({}), "x | 2026-01-02T03:03:05Z"),
    ]
}

#[test]
fn built_in_kinds_show_the_columns_of_a_real_server() {
    for (group, plural, mut document, expected) in workloads().into_iter().chain(others()) {
        document["metadata"] = json!({ "name": "x", "creationTimestamp": BORN });
        assert_eq!(cells(group, plural, &document), expected, "{plural}");
    }
    // Whatever an object holds, its row is as long as the head (B1).
    for row in crate::kind::built_in() {
        let odd = json!({ "metadata": [], "spec": "no", "status": [1], "type": {}, "data": [] });
        let columns = columns::of(&row.group, &row.plural).len();
        assert!(
            cells(&row.group, &row.plural, &odd).split(" | ").count() == columns,
            "{}",
            row.plural
        );
    }
}

fn pods() -> (State, usize) {
    let mut state = State::new(1);
    let resource = state.resource("", "v1", "pods").unwrap();
    for number in 0..3 {
        let pod = crate::fixture::pod("default", "web", number);
        state
            .create(resource, Some("default"), pod, NOW - 60)
            .unwrap();
    }
    (state, resource)
}

#[test]
fn pr_n1_a_list_is_a_table_or_metadata_with_the_meta_of_the_list() {
    let (state, resource) = pods();
    let query = ListQuery {
        limit: 2,
        ..ListQuery::default()
    };
    let shown = |form: Form| -> Value {
        let page = state
            .list(resource, &query)
            .unwrap()
            .printed(state.kind(resource), form, NOW);
        let body: Vec<u8> = page.chunks(64).flatten().collect();
        serde_json::from_slice(&body).unwrap()
    };
    let plain = shown(Form::Plain);
    let table = shown(Form::Table(MetaVersion::V1, Include::Metadata));
    assert_eq!(
        (&table["kind"], &table["apiVersion"]),
        (&"Table".into(), &"meta.k8s.io/v1".into())
    );
    assert_eq!(table["metadata"], plain["metadata"]);
    assert_eq!(table["metadata"]["remainingItemCount"], 1);
    let row = &table["rows"][1];
    assert_eq!(
        row["cells"].as_array().unwrap().len(),
        table["columnDefinitions"].as_array().unwrap().len()
    );
    assert_eq!(row["cells"][4], "60s");
    assert_eq!(row["object"]["kind"], "PartialObjectMetadata");
    assert_eq!(row["object"]["metadata"], plain["items"][1]["metadata"]);
    assert_eq!(row["object"].as_object().unwrap().len(), 3);
    let whole = shown(Form::Table(MetaVersion::V1, Include::Object));
    assert_eq!(
        whole["rows"][0]["object"]["spec"],
        plain["items"][0]["spec"]
    );
    let none = shown(Form::Table(MetaVersion::V1, Include::None));
    assert_eq!(none["rows"][0]["object"], Value::Null);
    let metadata = shown(Form::Metadata(MetaVersion::V1Beta1));
    assert_eq!(metadata["kind"], "PartialObjectMetadataList");
    assert_eq!(metadata["items"][0]["apiVersion"], "meta.k8s.io/v1beta1");
    assert_eq!(
        metadata["items"][0]["metadata"],
        plain["items"][0]["metadata"]
    );
    assert_eq!(metadata["metadata"], plain["metadata"]);
}

#[test]
fn pr_n1_a_watch_of_tables_names_its_columns_once() {
    let (state, resource) = pods();
    let query = WatchQuery {
        bookmarks: true,
        send_initial_events: Some(true),
        list: ListQuery {
            version_match: Some(crate::state::Match::NotOlderThan),
            ..ListQuery::default()
        },
    };
    let frames = |form: Form| -> Vec<Value> {
        let watch = state.watch(resource, &query, WatchListSupport::On).unwrap();
        let (mut watch, mut out) = (watch.printed(&state, form), Vec::new());
        watch.at(NOW);
        watch.step(&state, usize::MAX, &mut out);
        let frames = serde_json::Deserializer::from_slice(&out).into_iter::<Value>();
        frames.map(|frame| frame.unwrap()).collect()
    };
    let tables = frames(Form::Table(MetaVersion::V1, Include::Metadata));
    let heads: Vec<bool> = tables
        .iter()
        .map(|it| it["object"]["columnDefinitions"].is_array())
        .collect();
    assert_eq!(heads, [true, false, false, false]);
    assert_eq!(tables[0]["object"]["rows"][0]["cells"][4], "60s");
    let bookmark = &tables[3];
    assert_eq!(bookmark["type"], "BOOKMARK");
    let marked = &bookmark["object"]["rows"][0]["object"]["metadata"]["annotations"];
    assert_eq!(marked["k8s.io/initial-events-end"], "true");
    let bare = frames(Form::Metadata(MetaVersion::V1));
    assert!(
        bare.iter()
            .all(|it| it["object"]["kind"] == "PartialObjectMetadata")
    );
    assert!(bare.iter().all(|it| it["object"].get("spec").is_none()));
}

#[test]
fn a_definition_chooses_its_columns() {
    let columns = Printed::parse(&json!([
        { "name": "Size", "type": "integer", "jsonPath": ".spec.size", "priority": 1 },
        { "name": "Phase", "type": "string", "jsonPath": ".status.phase", "description": "where it stands" },
        { "name": "Since", "type": "date", "jsonPath": ".status.since" },
        { "name": "On", "type": "boolean", "jsonPath": ".spec.on" },
        { "name": "Odd", "type": "string", "jsonPath": "..x" },
    ]));
    let row = KindRow {
        columns: Some(columns),
        ..KindRow::custom("x.io", "v1", "things", "Thing")
    };
    let printer = Printer::new(Form::Table(MetaVersion::V1, Include::None), &row, NOW);
    let heads = printer.heads();
    assert_eq!(heads[1]["priority"], 1);
    assert_eq!(
        heads[1]["description"],
        "Custom resource definition column (in JSONPath format): .spec.size"
    );
    assert_eq!(heads[2]["description"], "where it stands");
    let object = json!({ "metadata": { "name": "t" }, "spec": { "size": 3.0, "on": "no" },
        "status": { "phase": { "a": 1 }, "since": "2026-01-02T03:03:05Z" } });
    let expected = [
        json!("t"),
        json!(3),
        json!("{\"a\":1}"),
        json!("60s"),
        Value::Null,
        Value::Null,
    ];
    assert_eq!(printer.cells(&object), expected);
    let bare = KindRow::custom("x.io", "v1", "things", "Thing");
    let printer = Printer::new(Form::Table(MetaVersion::V1, Include::None), &bare, NOW);
    assert_eq!(printer.heads()[1]["name"], "Age");
}
