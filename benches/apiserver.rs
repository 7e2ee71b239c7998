//! The embedded API server's state: writes as HTTP makes them, lists and their pages, watches.
//!
//! No socket and no lock: the report has those (`apiserver_report`).

use std::{cell::LazyCell, hint::black_box};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::Value;
use tidings_apiserver::{
    State,
    state::{
        Admission, Form, ListQuery, MetaVersion, Page, Part, Terms, WatchListSupport, WatchQuery,
        WatchStep,
    },
};
use tidings_benches::pods;

const NOW: u64 = 1_767_225_600;
const PODS: usize = 50_000;
const MAPS: usize = 500;
const EVENTS: usize = 1_000;

criterion_group!(benches, writes, lists, watches);
criterion_main!(benches);

const fn terms() -> Terms<'static> {
    Terms {
        admission: Admission::Strict,
        manager: "bench",
        ..Terms::open(NOW)
    }
}

/// A config map of 1 KB.
fn config_map(number: usize, version: usize) -> Vec<u8> {
    let mut text = format!(
        "{{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{{\"name\":\"map-{number:06}\",\
         \"labels\":{{\"app\":\"shop\",\"team\":\"team-{:02}\"}}}},\"data\":{{\"version\":\"{version:06}\"",
        number % 16
    );
    for key in 0..8 {
        text += &format!(",\"key-{key}\":\"{}\"", "0123456789abcdef".repeat(6));
    }
    text += "}}";
    text.into_bytes()
}

struct Bench {
    state: State,
    maps: usize,
    pods: usize,
}

impl Bench {
    fn new() -> Self {
        let state = State::new(1);
        let maps = state.resource("", "v1", "configmaps").expect("served");
        let pods = state.resource("", "v1", "pods").expect("served");
        Self { state, maps, pods }
    }

    fn with_maps() -> Self {
        let mut bench = Self::new();
        (0..MAPS).for_each(|number| bench.create(number));
        bench
    }

    fn with_pods(count: usize) -> Self {
        let mut bench = Self::new();
        for number in 0..count {
            let mut pod = parse(pods::object(number).as_bytes());
            let namespace = format!("ns-{:02}", number % 20);
            pod["metadata"]["namespace"] = namespace.clone().into();
            let state = &mut bench.state;
            let created = state.create(bench.pods, Some(&namespace), pod, NOW);
            created.expect("a new pod");
        }
        bench
    }

    fn create(&mut self, number: usize) {
        let document = parse(&config_map(number, 0));
        let state = &mut self.state;
        let created = state.create_with(self.maps, Some("default"), document, &terms());
        created.expect("a new map");
    }

    fn update(&mut self, number: usize, version: usize) {
        let document = parse(&config_map(number, version));
        let key = format!("default/map-{number:06}");
        let state = &mut self.state;
        let updated = state.update_with(self.maps, &key, document, Part::Main, &terms());
        updated.expect("a map that is there");
    }
}

fn parse(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

fn writes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("apiserver/write");
    group.throughput(Throughput::Elements(MAPS as u64));
    group.bench_function("create/1KB", |bencher| {
        bencher.iter_batched(
            Bench::new,
            |mut bench| {
                (0..MAPS).for_each(|number| bench.create(number));
                assert_eq!(bench.state.len(bench.maps), MAPS);
                bench
            },
            BatchSize::LargeInput,
        );
    });
    let mut bench = Bench::with_maps();
    let mut version = 0;
    group.bench_function("update/1KB", |bencher| {
        bencher.iter(|| {
            version += 1;
            let before = bench.state.resource_version();
            (0..MAPS).for_each(|number| bench.update(number, version));
            assert_eq!(bench.state.resource_version(), before + MAPS as u64);
        });
    });
    group.bench_function("floor-parse-and-print/1KB", |bencher| {
        bencher.iter(|| {
            for number in 0..MAPS {
                let document = parse(&config_map(number, 0));
                assert!(black_box(document.to_string()).len() > 900);
            }
        });
    });
    group.finish();
}

fn lists(criterion: &mut Criterion) {
    // Not for those who ask for something else.
    let bench = LazyCell::new(|| Bench::with_pods(PODS));
    let mut group = criterion.benchmark_group("apiserver/list");
    group.sample_size(20);
    let query = |limit, namespace: Option<&str>, labels: &str| ListQuery {
        limit,
        namespace: namespace.map(str::to_owned),
        label_selector: labels.to_owned(),
        ..ListQuery::default()
    };
    let few = "app=app-00007";
    for (name, query, expected) in [
        ("whole/50k", query(0, None, ""), PODS),
        ("page-of-500/50k", query(500, None, ""), 500),
        (
            "page-of-500/50k/label-all",
            query(500, None, "tier=backend"),
            500,
        ),
        ("whole/50k/label-few", query(0, None, few), 20),
        (
            "namespace/2500-of-50k",
            query(0, Some("ns-07"), ""),
            PODS / 20,
        ),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let page = bench.state.list(bench.pods, &query).expect("a list");
                assert_eq!(page.items.len(), expected);
            });
        });
    }
    let everything = query(0, None, "");
    group.bench_function("snapshot/50k", |bencher| {
        bencher.iter(|| {
            let snapshot = bench.state.snapshot(bench.pods, &everything);
            assert!(black_box(snapshot).is_ok());
        });
    });
    let page = || bench.state.list(bench.pods, &everything).expect("a list");
    let sent = |page: Page| {
        page.chunks(64 << 10)
            .map(|chunk| chunk.len())
            .sum::<usize>()
    };
    let len = LazyCell::new(|| sent(page()));
    group.bench_function("chunks/50k", |bencher| {
        bencher.iter_batched(
            page,
            |page| assert_eq!(sent(page), *len),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn watches(criterion: &mut Criterion) {
    let mut bench = Bench::with_maps();
    let start = bench.state.resource_version();
    for event in 0..EVENTS {
        bench.update(event % MAPS, event + 1);
    }
    let mut group = criterion.benchmark_group("apiserver/watch");
    group.throughput(Throughput::Elements(EVENTS as u64));
    let metadata = Form::Metadata(MetaVersion::V1);
    let table = Form::Table(MetaVersion::V1, tidings_apiserver::state::Include::Metadata);
    for (name, labels, form, told) in [
        ("step/1KB/plain", "", Form::Plain, EVENTS),
        ("step/1KB/label-all", "app=shop", Form::Plain, EVENTS),
        ("step/1KB/label-none", "app=other", Form::Plain, 0),
        ("step/1KB/metadata", "", metadata, EVENTS),
        ("step/1KB/table", "", table, EVENTS),
    ] {
        let query = WatchQuery {
            list: ListQuery {
                label_selector: labels.to_owned(),
                resource_version: start.to_string(),
                ..ListQuery::default()
            },
            ..WatchQuery::default()
        };
        group.bench_function(name, |bencher| {
            let mut out = Vec::new();
            bencher.iter(|| {
                let state = &bench.state;
                let opened = state.watch(bench.maps, &query, WatchListSupport::On);
                let mut watch = opened.expect("a watch").printed(state, form);
                out.clear();
                assert_eq!(watch.step(state, usize::MAX, &mut out), WatchStep::Level);
                assert_eq!(memchr::memchr_iter(b'\n', &out).count(), told);
            });
        });
    }
    group.finish();
}
